"""Real servers under the real engine: what the local platform is made of."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import boto3

from tests.infra.engine import Project
from tests.infra.test_stores import SEAWEEDFS

PROGRAM = f"""
    SEAWEEDFS = {SEAWEEDFS | {"ready": None}!r}
    SEAWEEDFS["ready"] = [Http("master", "/dir/assign"), Http("s3", "/healthz")]

    redis = Process(
        "redis",
        program="redis-server",
        args=["{{file.redis.conf}}"],
        ports=["redis"],
        secrets=["password"],
        files={{"redis.conf": "bind {{host}}\\nport {{port.redis}}\\nrequirepass {{secret.password}}\\ndir {{data}}\\n"}},
        ready=[Tcp("redis"), LogLine("Ready to accept connections")],
    )
    weed = Process("weed", **SEAWEEDFS, urls={{"s3": "http://{{host}}:{{port.s3}}"}})
    bucket = Bucket("bucket", kind="s3", endpoint=weed.urls["s3"], name="artifacts", data_id=weed.data_id,
                    access_key_file=weed.secret_files["access_key"], secret_key_file=weed.secret_files["secret_key"])
    pulumi.export("s3", weed.urls["s3"])
    pulumi.export("weed", weed.pid)
    pulumi.export("keys", weed.secret_files)
    pulumi.export("bucket", bucket.name)
"""


def store(project: Project) -> Any:
    told = project.outputs()
    keys = [Path(told["keys"][name]).read_text() for name in ("access_key", "secret_key")]
    options = {"region_name": "us-east-1", "aws_access_key_id": keys[0], "aws_secret_access_key": keys[1]}
    return boto3.client("s3", endpoint_url=told["s3"], **options)


def test_servers_come_up_with_a_bucket_and_come_back_with_its_objects(project: Project) -> None:
    project.write(PROGRAM)
    project.up()
    store(project).put_object(Bucket="artifacts", Key="thing", Body=b"precious")
    project.refresh("--expect-no-changes")
    os.kill(project.outputs()["weed"], signal.SIGKILL)
    project.up("--refresh")
    assert store(project).get_object(Bucket="artifacts", Key="thing")["Body"].read() == b"precious"
    assert "bucket 'artifacts' holds objects and stays" in project.destroy()
    assert project.processes() == [] and project.records() == []
    project.up()
    assert store(project).get_object(Bucket="artifacts", Key="thing")["Body"].read() == b"precious"
    lose_the_data_of(project, "weed")
    project.up()
    assert store(project).list_objects_v2(Bucket="artifacts")["KeyCount"] == 0, "made again by the same up"


def lose_the_data_of(project: Project, name: str) -> None:
    """As if the person had removed the folder while the server was down."""
    found = next(record for record in project.records() if record.name == name)
    os.kill(found.pid, signal.SIGKILL)
    data = project.home / "run" / found.id / "data"
    data.rename(data.with_name("lost"))
