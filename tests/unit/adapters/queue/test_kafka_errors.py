"""What Kafka's errors become, and what a missing library says."""

from __future__ import annotations

import importlib
import sys
import time

import pytest
from confluent_kafka import KafkaError, KafkaException

from adapters.drivers.queue.kafka_errors import Trouble, classify
from adapters.errors import AdapterError, Conflict, DeadlineExceeded, Denied, Invalid, NotFound, NotInstalled, Transient


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (KafkaError._AUTHENTICATION, Denied),
        (KafkaError._SSL, Denied),
        (KafkaError.TOPIC_AUTHORIZATION_FAILED, Denied),
        (KafkaError.GROUP_AUTHORIZATION_FAILED, Denied),
        (KafkaError.UNKNOWN_TOPIC_OR_PART, NotFound),
        (KafkaError._UNKNOWN_TOPIC, NotFound),
        (KafkaError.MSG_SIZE_TOO_LARGE, Invalid),
        (KafkaError.INVALID_REPLICATION_FACTOR, Invalid),
        (KafkaError.POLICY_VIOLATION, Invalid),
        (KafkaError.TOPIC_ALREADY_EXISTS, Conflict),
        (KafkaError._MSG_TIMED_OUT, DeadlineExceeded),
        (KafkaError._TRANSPORT, Transient),
        (KafkaError._ALL_BROKERS_DOWN, Transient),
        (KafkaError.NOT_ENOUGH_REPLICAS, Transient),
        (KafkaError.NOT_LEADER_FOR_PARTITION, Transient),
        (KafkaError.COORDINATOR_NOT_AVAILABLE, Transient),
        (KafkaError.REBALANCE_IN_PROGRESS, Transient),
        (KafkaError.ILLEGAL_GENERATION, Transient),
    ],
)
def test_every_kind_of_error_has_its_class(code: int, kind: type[AdapterError]) -> None:
    error = KafkaError(code, "what the broker said")
    for answer in (classify(error, "the-topic"), classify(KafkaException(error), "the-topic")):
        assert isinstance(answer, kind)
        assert "the-topic" in str(answer)
        assert "what the broker said" in str(answer)


def test_time_that_ran_out_is_transient_only_where_the_broker_is_known_to_be_away() -> None:
    trouble = Trouble("127.0.0.1:9092")
    began = time.monotonic()
    assert isinstance(trouble.late("3 records", began), DeadlineExceeded)
    trouble.heard(KafkaError(KafkaError._TRANSPORT, "connection refused"))
    late = trouble.late("3 records", began)
    assert isinstance(late, Transient)
    assert "connection refused" in str(late)
    assert isinstance(trouble.late("3 records", time.monotonic()), DeadlineExceeded), "what was long ago does not count"


def test_a_refused_login_is_remembered_until_it_is_forgotten() -> None:
    trouble = Trouble("127.0.0.1:9092")
    trouble.check()
    trouble.heard(KafkaError(KafkaError._AUTHENTICATION, "invalid credentials"))
    trouble.heard(KafkaError(KafkaError._ALL_BROKERS_DOWN, "1/1 brokers are down"))
    with pytest.raises(Denied, match="invalid credentials"):
        trouble.check()
    trouble.forget()
    trouble.check()


def test_without_the_library_the_cure_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(sys.modules):
        if name.startswith(("confluent_kafka", "adapters.drivers.queue.kafka")):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "confluent_kafka", None)
    with pytest.raises(NotInstalled, match=r"\.\[runtime\]"):
        importlib.import_module("adapters.drivers.queue.kafka")
