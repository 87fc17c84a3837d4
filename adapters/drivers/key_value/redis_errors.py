"""Which of our errors each of Redis' is. The first row that fits decides."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from redis import exceptions as native

from adapters.errors import AdapterError, DeadlineExceeded, Denied, Invalid, Transient

ADDRESS = "check key_value.host and key_value.port, and that the server runs"
LOGIN = "check key_value.username and key_value.password, and what the server's ACL allows"

# (classes, a part of the text or nothing, ours, cure)
TABLE: tuple[tuple[tuple[type[Exception], ...], str, type[AdapterError], str], ...] = (
    ((native.AuthenticationError, native.AuthorizationError, native.NoPermissionError), "", Denied, LOGIN),
    ((native.AuthenticationWrongNumberOfArgsError,), "", Denied, LOGIN),
    ((native.TimeoutError,), "connecting", Transient, ADDRESS),
    (
        (native.TimeoutError,),
        "",
        DeadlineExceeded,
        "whether it took effect is not known; raise key_value.timeout_seconds",
    ),
    ((native.ConnectionError,), "certificate verify failed", Denied, "check key_value.ca_file"),
    ((native.ConnectionError,), "", Transient, ADDRESS),
    ((native.ClusterError, native.TryAgainError, native.AskError), "", Transient, "the cluster is changing"),
    ((native.ReadOnlyError,), "", Transient, "this server is a replica"),
    ((native.OutOfMemoryError,), "", Transient, "the server's memory is full"),
    ((native.RedisClusterException,), "not enabled", Invalid, "unset key_value.cluster: this is a single server"),
    ((native.ClusterCrossSlotError,), "", Invalid, "give them one {tag}"),
    ((native.RedisClusterException,), "", Transient, ADDRESS),
    ((native.ResponseError,), "WRONGTYPE", Invalid, "something else stores another type under this key"),
    ((native.ResponseError,), "not an integer", Invalid, "only increment what increment made"),
    ((native.ResponseError,), "overflow", Invalid, "the sum must fit into a signed 64-bit integer"),
    # Met inside a script, these stand in the middle of the text, and redis-py cannot tell them by its beginning.
    ((native.ResponseError,), "NOPERM", Denied, LOGIN),
    ((native.ResponseError,), "ACL failure", Denied, LOGIN),
    ((native.ResponseError,), "OOM ", Transient, "the server's memory is full"),
    ((native.ResponseError,), "READONLY", Transient, "this server is a replica"),
    ((native.ResponseError,), "MISCONF", Transient, "the server cannot save to its disk"),
    ((native.ResponseError,), "NOREPLICAS", Transient, ""),
    ((native.ResponseError,), "BUSY", Transient, "a script on the server runs too long"),
    ((native.ResponseError,), "max number of clients", Transient, "raise the server's maxclients"),
)


@contextmanager
def translating(name: str) -> Iterator[None]:
    """Raise Redis' errors as ours, naming `name`: a key, a script or an address."""
    try:
        yield
    except (native.RedisError, native.RedisClusterException) as error:
        raise translated(error, name) from error


def translated(error: Exception, name: str) -> AdapterError:
    """The error of ours that says the same."""
    text = str(error)
    for classes, part, ours, cure in TABLE:
        if isinstance(error, classes) and part in text:
            return ours(text or type(error).__name__, name=name, cure=cure)
    return Invalid(text or type(error).__name__, name=name)
