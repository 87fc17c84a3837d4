"""What Kafka's errors mean, in one table, and the errors a client hears of outside any call."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any, TypeVar

from confluent_kafka import KafkaError, KafkaException

from adapters.drivers.queue.feed import Rebalancing
from adapters.errors import AdapterError, Conflict, DeadlineExceeded, Denied, Invalid, NotFound, Transient

C = TypeVar("C")
log = logging.getLogger(__name__)

_KINDS: dict[type[AdapterError], tuple[int, ...]] = {
    Denied: (
        KafkaError._AUTHENTICATION,
        KafkaError._SSL,
        KafkaError.SASL_AUTHENTICATION_FAILED,
        KafkaError.UNSUPPORTED_SASL_MECHANISM,
        KafkaError.ILLEGAL_SASL_STATE,
        KafkaError.SECURITY_DISABLED,
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
        KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
    ),
    NotFound: (
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError.UNKNOWN_TOPIC_ID,
        KafkaError._UNKNOWN_TOPIC,
        KafkaError._UNKNOWN_PARTITION,
        KafkaError.GROUP_ID_NOT_FOUND,
    ),
    Invalid: (
        KafkaError.MSG_SIZE_TOO_LARGE,
        KafkaError.RECORD_LIST_TOO_LARGE,
        KafkaError.INVALID_MSG_SIZE,
        KafkaError.INVALID_RECORD,
        KafkaError.INVALID_TIMESTAMP,
        KafkaError.TOPIC_EXCEPTION,
        KafkaError.INVALID_PARTITIONS,
        KafkaError.INVALID_REPLICATION_FACTOR,
        KafkaError.INVALID_REPLICA_ASSIGNMENT,
        KafkaError.INVALID_CONFIG,
        KafkaError.INVALID_REQUEST,
        KafkaError.INVALID_GROUP_ID,
        KafkaError.INVALID_SESSION_TIMEOUT,
        KafkaError.INCONSISTENT_GROUP_PROTOCOL,
        KafkaError.POLICY_VIOLATION,
        KafkaError.UNSUPPORTED_VERSION,
        KafkaError.UNSUPPORTED_COMPRESSION_TYPE,
        KafkaError._INVALID_ARG,
        KafkaError._UNSUPPORTED_FEATURE,
    ),
    Conflict: (KafkaError.TOPIC_ALREADY_EXISTS, KafkaError.NON_EMPTY_GROUP, KafkaError.REASSIGNMENT_IN_PROGRESS),
    DeadlineExceeded: (KafkaError._MSG_TIMED_OUT,),
    Rebalancing: (
        KafkaError.REBALANCE_IN_PROGRESS,
        KafkaError.ILLEGAL_GENERATION,
        KafkaError.UNKNOWN_MEMBER_ID,
        KafkaError._ASSIGNMENT_LOST,
        KafkaError.FENCED_INSTANCE_ID,
    ),
}
_KIND_OF = {code: kind for kind, codes in _KINDS.items() for code in codes}
_CURES = {
    KafkaError._SSL: "check queue.tls and queue.ca_file",
    KafkaError._AUTHENTICATION: "check queue.auth, queue.username and queue.password",
    KafkaError.SASL_AUTHENTICATION_FAILED: "check queue.auth, queue.username and queue.password",
    KafkaError.UNKNOWN_TOPIC_OR_PART: "create it first",
    KafkaError._UNKNOWN_TOPIC: "create it first",
    KafkaError.TOPIC_AUTHORIZATION_FAILED: "grant this principal the operation on the topic",
    KafkaError.GROUP_AUTHORIZATION_FAILED: "grant this principal READ on the group",
    KafkaError.MSG_SIZE_TOO_LARGE: "put the body into object storage and publish its key",
}


def classify(error: KafkaError | KafkaException, name: str) -> AdapterError:
    """The port's error for one of Kafka's. What is in no table is taken to pass: Transient."""
    cause: KafkaError = error.args[0] if isinstance(error, KafkaException) else error
    kind = _KIND_OF.get(cause.code(), Transient)
    return kind(cause.str(), name=name, cure=_CURES.get(cause.code(), ""))


def new_client(kind: Callable[[dict[str, Any]], C], config: dict[str, Any]) -> C:
    """A client of the library, which takes its settings now and connects later."""
    try:
        return kind(config)
    except KafkaException as error:
        raise classify(error, str(config["bootstrap.servers"])) from error


class Trouble:
    """What a client was told on the side: the broker away, a login refused. The library itself would try for ever."""

    def __init__(self, brokers: str) -> None:
        self._brokers = brokers
        self._refused: KafkaError | None = None
        self._last: tuple[float, KafkaError] | None = None

    def heard(self, error: KafkaError) -> None:
        """The library's error callback."""
        self._last = (time.monotonic(), error)
        if _KIND_OF.get(error.code()) is Denied:
            self._refused = error
        log.log(
            logging.WARNING if error.fatal() or self._refused else logging.INFO, "Kafka at %s: %s", self._brokers, error
        )

    def forget(self) -> None:
        """Begin anew: a login that was refused a while ago may be allowed by now."""
        self._refused = None

    @property
    def refused(self) -> bool:
        """Whether a login was refused since `forget`."""
        return self._refused is not None

    def check(self) -> None:
        """Raises Denied if a login was refused since `forget`."""
        if self._refused is not None:
            raise classify(self._refused, self._brokers)

    def away(self, what: str) -> Transient:
        """The error for a question without an answer. Asking it again does no harm."""
        return Transient(what + self._reason(), name=self._brokers)

    def late(self, what: str, since: float) -> AdapterError:
        """The error for records without an answer: Transient where the broker was heard to be away, or else unknown."""
        if self._last is not None and self._last[0] >= since:
            return Transient(what + self._reason(), name=self._brokers)
        return DeadlineExceeded(what, name=self._brokers)

    def _reason(self) -> str:
        return f": {self._last[1].str()}" if self._last is not None else ""
