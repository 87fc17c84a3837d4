"""What every message queue promises, one test a promise. Give the class its fixtures and run it with pytest.

    class TestKafka(MessageQueueSuite):
        @pytest.fixture
        def queue(self): ...     # a MessageQueue
        @pytest.fixture
        def small(self): ...     # one of the same server, that lets a member hold at most SMALL messages
        @pytest.fixture
        def crash(self): ...     # see `Crash`: a member that dies without a farewell

The promises stand in four classes: publishing, topics, members of a group, and messages that fail.
"""

from __future__ import annotations

from adapters.conformance.message_queue_failures import FailureSuite
from adapters.conformance.message_queue_groups import GroupSuite
from adapters.conformance.message_queue_members import SMALL, Crash
from adapters.conformance.message_queue_publishing import PublishingSuite
from adapters.conformance.message_queue_topics import TopicSuite

__all__ = ["SMALL", "Crash", "MessageQueueSuite"]


class MessageQueueSuite(PublishingSuite, TopicSuite, GroupSuite, FailureSuite):
    """All of them."""
