"""Kafka here: Apache Kafka itself, one node that is broker and controller."""

from __future__ import annotations

import pulumi

from adapters.settings import QueueSettings
from infra.providers.local.resources import Process, Tcp, Topic
from infra.spec import PlatformSpec

# Names the cluster in its log folder. Any 16 bytes in base64 do; it is not a secret and there is one cluster per folder.
CLUSTER_ID = "aXN0aG11cy1sb2NhbC0wMQ"

CONFIGURATION = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{host}:{port.controller}
listeners=PLAINTEXT://{host}:{port.broker},CONTROLLER://{host}:{port.controller}
advertised.listeners=PLAINTEXT://{host}:{port.broker}
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={data}/log
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
num.network.threads=2
num.io.threads=4
"""


def settings(spec: PlatformSpec) -> pulumi.Output[QueueSettings]:
    """Declare the broker and its topics; where it is found."""
    broker = Process(
        "stream",
        program="kafka",
        args=[*java(spec), "kafka.Kafka", "{file.server.properties}"],
        ports=["broker", "controller"],
        files={"server.properties": CONFIGURATION},
        setup=[
            [
                *java(spec),
                "kafka.tools.StorageTool",
                "format",
                "--cluster-id",
                CLUSTER_ID,
                "--config",
                "{file.server.properties}",
            ]
        ],
        ready=[Tcp("broker")],
        urls={"brokers": "{host}:{port.broker}"},
    )
    for name, topic in spec.stream.topics.items():
        Topic(
            f"topic-{name}",
            bootstrap=broker.urls["brokers"],
            name=name,
            partitions=topic.partitions,
            config={"retention.ms": str(topic.retention_hours * 3_600_000)},
            data_id=broker.data_id,
            opts=pulumi.ResourceOptions(depends_on=[broker]),
        )
    return broker.urls["brokers"].apply(lambda brokers: QueueSettings(brokers=brokers))


def java(spec: PlatformSpec) -> list[str]:
    """The broker's Java options: a small heap, and a start of 2 to 3 s instead of 5 to 7 s on two cores.

    That takes the quick compiler alone, one thread of garbage collection, and an archive of loaded classes, which the
    set-up command leaves behind and every later start maps.
    """
    return [
        f"-Xmx{spec.stream.heap_mib}m",
        "-XX:TieredStopAtLevel=1",
        "-XX:+UseSerialGC",
        "-XX:+AutoCreateSharedArchive",
        "-XX:SharedArchiveFile=kafka.jsa",
    ]
