"""A member of a consumer group in a process of its own, to be killed: `python -m tests.queue_member '<json>'`.

It receives, acknowledges, makes that durable, prints what it received as JSON and then waits to be killed.
"""

from __future__ import annotations

import json
import signal
import sys
import time

from adapters.drivers.queue.kafka import KafkaQueue
from adapters.ports import Message
from adapters.settings import QueueSettings


def main(order: dict) -> None:
    """Do what the order says, and wait."""
    queue = KafkaQueue(QueueSettings(brokers=order["brokers"]), session_seconds=order["session_seconds"])
    member = queue.subscribe([order["topic"]], group=order["group"])
    received: list[Message] = []
    deadline = time.monotonic() + 30
    while len(received) < order["count"] and time.monotonic() < deadline:
        received += member.receive(limit=order["count"] - len(received), timeout_seconds=0.5)
    member.ack(received[place] for place in order["ack"])
    if order["by_receive"]:
        member.receive(limit=0, timeout_seconds=0)
    else:
        member.commit()
    print(json.dumps([(m.position.partition, m.position.offset, m.attempt) for m in received]), flush=True)
    signal.pause()


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
