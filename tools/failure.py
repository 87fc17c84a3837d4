"""The two ways in which a machine is not ready, each told in one sentence with its cure."""

from __future__ import annotations


class SetupFailed(Exception):
    """A step could not be finished; the message says why and what to do. Nothing half-installed is left in use."""


class Unreachable(SetupFailed):
    """A package index did not answer; nothing was changed."""


class ToolMissing(FileNotFoundError):
    """A program is not installed on this machine; the message says what to type to install it."""
