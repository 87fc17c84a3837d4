"""Buckets of a local S3 server, through boto3."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError

from infra.providers.base import ProviderError
from infra.providers.local.store import Unreachable

_TIMEOUT_SECONDS = 5
_REGION = "us-east-1"
_MISSING = ("404", "NoSuchBucket", "NotFound")
_OURS = ("BucketAlreadyOwnedByYou", "BucketAlreadyExists")


class S3:
    """One server with the S3 protocol."""

    def __init__(self, endpoint: str, access_key: str, secret_key: str) -> None:
        self._endpoint = endpoint
        self._client: Any = boto3.client(
            "s3",
            endpoint_url=endpoint,
            region_name=_REGION,
            aws_access_key_id=access_key,
            aws_secret_access_key=secret_key,
            config=Config(
                connect_timeout=_TIMEOUT_SECONDS,
                read_timeout=_TIMEOUT_SECONDS,
                retries={"max_attempts": 2, "mode": "standard"},
                s3={"addressing_style": "path"},
                # Servers other than Amazon's need not know the newer checksums.
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            ),
        )

    def ensure(self, name: str, versioning: bool) -> None:
        """See `Store`."""
        with self._answering(f"make bucket {name!r}"):
            if self.versioning(name) is None:
                try:
                    self._client.create_bucket(Bucket=name)
                except ClientError as error:
                    if _code(error) not in _OURS:
                        raise
            if self.versioning(name) != versioning:
                status = "Enabled" if versioning else "Suspended"
                self._client.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": status})

    def versioning(self, name: str) -> bool | None:
        """See `Store`."""
        with self._answering(f"look at bucket {name!r}"):
            try:
                self._client.head_bucket(Bucket=name)
            except ClientError as error:
                if _code(error) in _MISSING:
                    return None
                raise
            return self._client.get_bucket_versioning(Bucket=name).get("Status") == "Enabled"

    def is_empty(self, name: str) -> bool:
        """See `Store`."""
        with self._answering(f"list bucket {name!r}"):
            if self._client.list_objects_v2(Bucket=name, MaxKeys=1).get("KeyCount", 0):
                return False
            old = self._client.list_object_versions(Bucket=name, MaxKeys=1)
            return not old.get("Versions") and not old.get("DeleteMarkers")

    def remove(self, name: str) -> None:
        """See `Store`."""
        with self._answering(f"remove bucket {name!r}"):
            if self.versioning(name) is None:
                return
            for page in self._client.get_paginator("list_object_versions").paginate(Bucket=name):
                for found in [*page.get("Versions", []), *page.get("DeleteMarkers", [])]:
                    self._client.delete_object(Bucket=name, Key=found["Key"], VersionId=found["VersionId"])
            for page in self._client.get_paginator("list_objects_v2").paginate(Bucket=name):
                for found in page.get("Contents", []):
                    self._client.delete_object(Bucket=name, Key=found["Key"])
            self._client.delete_bucket(Bucket=name)

    @contextmanager
    def _answering(self, what: str) -> Iterator[None]:
        try:
            yield
        except ClientError as error:
            told = error.response.get("Error", {}).get("Message") or _code(error)
            raise ProviderError(f"{self._endpoint} would not {what}: {_code(error)}: {told}") from error
        except (HTTPClientError, BotoCoreError) as error:
            raise Unreachable(f"could not {what}: nothing answers at {self._endpoint}: {error}") from error


def _code(error: ClientError) -> str:
    return error.response.get("Error", {}).get("Code", "")
