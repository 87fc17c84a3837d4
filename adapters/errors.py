"""Every error an adapter raises. A driver classifies its server's answer into one of these; nothing else leaves a port.

Each is also the built-in that a reader would reach for, so `except FileNotFoundError` works without importing us.
"""

from __future__ import annotations


class AdapterError(Exception):
    """Something an adapter could not do: `what` happened, to `name` (a key, topic, secret or model), and the `cure`."""

    def __init__(self, what: str, *, name: str = "", cure: str = "") -> None:
        self.what, self.name, self.cure = what, name, cure
        super().__init__(what)

    def __str__(self) -> str:
        subject = f"{self.name}: {self.what}" if self.name else self.what
        return f"{subject}; {self.cure}" if self.cure else subject


class NotFound(AdapterError, FileNotFoundError):
    """The named thing does not exist."""


class Conflict(AdapterError):
    """A precondition did not hold: another writer was first. Read again, decide again."""


class Denied(AdapterError, PermissionError):
    """The credentials are missing, expired or not allowed to do this."""


class Invalid(AdapterError, ValueError):
    """The caller's input cannot be right on any server: an empty key, a negative range, an unknown field."""


class Corrupt(AdapterError, ValueError):
    """Stored bytes do not match their recorded digest. They are refused, never returned."""


class Transient(AdapterError, ConnectionError):
    """The server or the way to it failed for now; the same call may succeed later. Only this is retried."""


class DeadlineExceeded(AdapterError, TimeoutError):
    """The time the caller allowed has passed. Whether the call took effect is not known. Never retried further."""


class Unsupported(AdapterError, NotImplementedError):
    """This cloud lacks the capability, as its `capabilities` said beforehand."""


class NotInstalled(AdapterError, ImportError):
    """A driver's library is missing; the cure names the extra to install."""
