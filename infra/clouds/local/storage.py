"""Object storage here: SeaweedFS speaks S3 for `local`, `onprem` and `aws`; fake-gcs-server speaks GCS for `gcp`."""

from __future__ import annotations

import json

import pulumi

from adapters.settings import Secret, StorageSettings
from infra.providers.local.resources import Bucket, Http, Process
from infra.spec import PlatformSpec

REGION = "us-east-1"
PROJECT = "isthmus-local"
S3_CLOUDS = ("local", "onprem", "aws")

IDENTITIES = json.dumps(
    {
        "identities": [
            {
                "name": "isthmus",
                "credentials": [{"accessKey": "{secret.access_key}", "secretKey": "{secret.secret_key}"}],
                "actions": ["Admin", "Read", "Write", "List", "Tagging"],
            }
        ]
    }
)


def stores(spec: PlatformSpec, adapters: str) -> dict[str, pulumi.Output[StorageSettings]]:
    """By cloud, where its adapters find their bucket. The GCS server runs only when `adapters` asks for it.

    The S3 clouds share a server and differ by prefix, so that what one wrote is not what another finds.
    """
    found = {cloud: _s3_settings(server, spec, cloud) for server in [_s3(spec)] for cloud in S3_CLOUDS}
    if adapters == "gcp":
        found["gcp"] = _gcs(spec)
    return found


def _s3(spec: PlatformSpec) -> Process:
    ports = ("master", "volume", "filer", "s3", "admin")
    listen = [f"-{name}.port={{port.{name}}}" for name in ports] + [
        f"-{name}.port.grpc={{port.{name}_grpc}}" for name in ports
    ]
    server = Process(
        "object-store",
        program="seaweedfs",
        args=[
            "mini",
            "-dir={data}",
            "-ip={host}",
            "-ip.bind={host}",
            *listen,
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
            "-s3.iam=false",
            "-s3.autoCreateBucket=false",
            "-s3.config={file.s3.json}",
            # Relative to the process's folder: its default is /tmp, where it would be left behind.
            "-s3.localSocket=s3.sock",
            "-filer.localSocket=filer.sock",
            "-webdav=false",
            "-admin.ui=false",
            "-master.telemetry=false",
        ],
        ports=[*ports, *(f"{name}_grpc" for name in ports)],
        secrets=["access_key", "secret_key"],
        files={"s3.json": IDENTITIES},
        # Its health answers before it can write: only once the master has a place for an object is it of use.
        ready=[Http("master", "/dir/assign"), Http("s3", "/healthz")],
        urls={"s3": "http://{host}:{port.s3}"},
    )
    Bucket(
        "artifacts",
        kind="s3",
        endpoint=server.urls["s3"],
        name=spec.storage.bucket,
        access_key_file=server.secret_files["access_key"],
        secret_key_file=server.secret_files["secret_key"],
        data_id=server.data_id,
        opts=pulumi.ResourceOptions(depends_on=[server]),
    )
    return server


def _s3_settings(server: Process, spec: PlatformSpec, cloud: str) -> pulumi.Output[StorageSettings]:
    return pulumi.Output.all(url=server.urls["s3"], secrets=server.secret_files).apply(
        lambda known: StorageSettings(
            bucket=spec.storage.bucket,
            prefix=f"{cloud}/",
            endpoint=known["url"],
            region=REGION,
            access_key=Secret(f"file:{known['secrets']['access_key']}"),
            secret_key=Secret(f"file:{known['secrets']['secret_key']}"),
        )
    )


def _gcs(spec: PlatformSpec) -> pulumi.Output[StorageSettings]:
    server = Process(
        "object-store-gcs",
        program="fake-gcs-server",
        args=[
            "-scheme=http",
            "-host={host}",
            "-port={port.gcs}",
            "-public-host={host}:{port.gcs}",
            "-external-url=http://{host}:{port.gcs}",
            "-backend=filesystem",
            "-filesystem-root={data}",
            "-log-level=warn",
        ],
        ports=["gcs"],
        ready=[Http("gcs", "/storage/v1/b?project=" + PROJECT)],
        urls={"gcs": "http://{host}:{port.gcs}"},
    )
    Bucket(
        "artifacts-gcs",
        kind="gcs",
        endpoint=server.urls["gcs"],
        name=spec.storage.bucket,
        data_id=server.data_id,
        opts=pulumi.ResourceOptions(depends_on=[server]),
    )
    return server.urls["gcs"].apply(
        lambda url: StorageSettings(bucket=spec.storage.bucket, prefix="gcp/", endpoint=url, project=PROJECT)
    )
