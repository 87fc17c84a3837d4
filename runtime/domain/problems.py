"""Everything the HTTP interface can complain of, as problem details (RFC 9457).

Raise a `Problem`; the edge turns it into `application/problem+json`. The `detail` is written for the caller: it names what
was wrong, what was expected and the cure, and never quotes an exception of ours.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Any

LONGEST_DETAIL, LONGEST_INSTANCE = 500, 200
"""Characters: a detail quotes what the caller sent, which may be a megabyte long."""


class Kind(enum.Enum):
    """One kind of problem: a slug (its `type` is `/problems/<slug>`), a status, and a title that never varies."""

    MALFORMED_JSON = ("malformed-json", 400, "The body is not the JSON that was expected")
    UNKNOWN_FIELD = ("unknown-field", 400, "The body has a field that nobody reads")
    WRONG_TENSOR = ("wrong-tensor", 400, "A tensor does not match the model's signature")
    WRONG_VALUE = ("wrong-value", 400, "A value is out of range")
    WRONG_BINARY = ("wrong-binary", 400, "The binary part of the body does not match its description")
    WRONG_ENCODING = ("wrong-encoding", 400, "The body cannot be decompressed")
    BROKEN_OFF = ("broken-off", 400, "The body is not whole")
    UNKNOWN_ROUTE = ("unknown-route", 404, "There is no such page")
    UNKNOWN_MODEL = ("unknown-model", 404, "No such model is served here")
    UNKNOWN_VERSION = ("unknown-version", 404, "This version of the model is not loaded")
    WRONG_METHOD = ("wrong-method", 405, "The method does not fit this page")
    NO_RESULT = ("no-result", 422, "The model has no answer for this input")
    SLOW_BODY = ("slow-body", 408, "The body did not arrive in time")
    BODY_TOO_LARGE = ("body-too-large", 413, "The body is too large")
    WRONG_CONTENT_TYPE = ("wrong-content-type", 415, "The content type or encoding is not understood")
    BROKEN = ("broken", 500, "The server could not answer")
    BUSY = ("busy", 503, "Too many requests are waiting")
    NOT_READY = ("not-ready", 503, "The model is not ready yet")

    def __init__(self, slug: str, status: int, title: str) -> None:
        self.slug, self.status, self.title = slug, status, title


class Problem(Exception):
    """One complaint: its kind, a `detail` for the caller, headers the answer needs, and further members of the document."""

    def __init__(self, kind: Kind, detail: str, *, headers: Mapping[str, str] | None = None, **members: Any) -> None:
        super().__init__(detail)
        self.kind, self.detail, self.headers, self.members = kind, detail, dict(headers or {}), members

    def document(self, instance: str) -> dict[str, Any]:
        """The problem document. `error` repeats the detail where clients of the Open Inference Protocol look for it."""
        detail = _cut(self.detail, LONGEST_DETAIL)
        return {
            "type": f"/problems/{self.kind.slug}",
            "title": self.kind.title,
            "status": self.kind.status,
            "detail": detail,
            "instance": _cut(instance, LONGEST_INSTANCE),
            "error": detail,
            **self.members,
        }


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 3] + "..."
