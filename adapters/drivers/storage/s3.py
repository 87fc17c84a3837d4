"""Object storage on S3 and on servers that speak its protocol, through boto3's client."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

from adapters.drivers.storage import rules, s3_client
from adapters.drivers.storage.driver import Versions, raising
from adapters.drivers.storage.parts import in_parts, one_or_parts
from adapters.drivers.storage.s3_client import Clients
from adapters.drivers.storage.s3_copies import COPY_BYTES, copy_in_parts, quoted
from adapters.drivers.storage.s3_errors import BY_STATUS, status_of, translating
from adapters.errors import AdapterError, Invalid
from adapters.ports import Body, Capability, Object, ObjectInfo, Page, StorageClass, Version

if TYPE_CHECKING:
    from adapters.drivers.storage.bulk import Bulk
    from adapters.settings import StorageSettings

PUT_BYTES: Final = 5 << 30
"""The longest body that S3 takes in one request."""
CLASSES: Final = {StorageClass.HOT: "STANDARD", StorageClass.WARM: "STANDARD_IA", StorageClass.COLD: "GLACIER_IR"}
TIERS: Final = {
    "STANDARD_IA": StorageClass.WARM,
    "ONEZONE_IA": StorageClass.WARM,
    "GLACIER_IR": StorageClass.COLD,
    "GLACIER": StorageClass.COLD,
    "DEEP_ARCHIVE": StorageClass.COLD,
}
"""Every class that is not HOT."""


def open(settings: StorageSettings) -> S3Storage:
    """The settings' bucket. Nothing is sent before the first call."""
    return S3Storage(Clients(settings))


class S3Storage:
    """One bucket. A version is an ETag: for a body put whole a digest of it, so equal bodies have equal versions."""

    capabilities = frozenset(Capability)

    def __init__(self, clients: Clients) -> None:
        self._clients = clients
        self._client = clients.once
        self._bucket = clients.settings.bucket

    def get(self, key: str) -> Object:
        rules.check_key(key)
        with translating(key):
            answer = self._client.get_object(Bucket=self._bucket, Key=key)
            body = answer["Body"].read()
        return Object(body, _info(key, answer))

    def get_range(self, key: str, start: int, length: int) -> bytes:
        rules.check_range(key, start, length)
        if not length:
            self.head(key)
            return b""
        with translating(rules.check_key(key)):
            try:
                return self._client.get_object(
                    Bucket=self._bucket, Key=key, Range=f"bytes={start}-{start + length - 1}"
                )["Body"].read()
            except self._client.exceptions.ClientError as error:
                if status_of(error) == 416:
                    return b""
                raise

    def stream(self, key: str, *, chunk_bytes: int = 8 << 20) -> Iterator[bytes]:
        with contextlib.closing(self.open_stream(key, chunk_bytes=chunk_bytes)) as download:
            yield from download

    def head(self, key: str) -> ObjectInfo:
        rules.check_key(key)
        with translating(key):
            return _info(key, self._client.head_object(Bucket=self._bucket, Key=key))

    def list(self, prefix: str = "", *, delimiter: str = "", cursor: str | None = None, limit: int = 1000) -> Page:
        rules.check_limit(limit)
        request = {"Bucket": self._bucket, "Prefix": rules.check_prefix(prefix), "MaxKeys": limit}
        if delimiter:
            request["Delimiter"] = delimiter
        if cursor:
            request["ContinuationToken"] = cursor
        with translating(prefix or self._bucket):
            answer = self._client.list_objects_v2(**request)
        return Page(
            tuple(_listed(entry) for entry in answer.get("Contents", ())),
            tuple(entry["Prefix"] for entry in answer.get("CommonPrefixes", ())),
            answer.get("NextContinuationToken") if answer.get("IsTruncated") else None,
        )

    def put(
        self,
        key: str,
        body: Body,
        *,
        if_version: Version | None = None,
        content_type: str = "application/octet-stream",
        metadata: Mapping[str, str] | None = None,
        storage_class: StorageClass = StorageClass.HOT,
    ) -> Version:
        rules.check_key(key)
        about = _about(key, content_type, metadata, storage_class)
        content = rules.solid(body)
        if len(content) > PUT_BYTES:
            return self._upload(key, in_parts([content]), about, if_version)
        with translating(key, swap=if_version is not None):
            answer = self._client.put_object(
                Bucket=self._bucket, Key=key, Body=content, **about, **_condition(if_version)
            )
        return Version(answer["ETag"])

    def put_stream(
        self,
        key: str,
        chunks: Iterable[Body],
        *,
        if_version: Version | None = None,
        content_type: str = "application/octet-stream",
        metadata: Mapping[str, str] | None = None,
        storage_class: StorageClass = StorageClass.HOT,
    ) -> Version:
        rules.check_key(key)
        about = _about(key, content_type, metadata, storage_class)
        body = one_or_parts(chunks)
        if not isinstance(body, Iterator):
            return self.put(
                key,
                body,
                if_version=if_version,
                content_type=content_type,
                metadata=metadata,
                storage_class=storage_class,
            )
        return self._upload(key, body, about, if_version)

    def _upload(
        self, key: str, parts: Iterable[bytes | bytearray], about: dict[str, Any], if_version: Version | None
    ) -> Version:
        client = self._clients.parts
        with translating(key):
            upload = {"Bucket": self._bucket, "Key": key}
            upload["UploadId"] = client.create_multipart_upload(**upload, **about)["UploadId"]
        try:
            done = []
            for number, part in enumerate(parts, start=1):
                with translating(key):
                    tag = client.upload_part(**upload, PartNumber=number, Body=part)["ETag"]
                done.append({"PartNumber": number, "ETag": tag})
                del part  # before the next is put together
            with translating(key, swap=if_version is not None):
                answer = self._client.complete_multipart_upload(
                    **upload, MultipartUpload={"Parts": done}, **_condition(if_version)
                )
        except BaseException:
            # The first error is the one to be told; parts that cannot be removed now are found by `sweep_uploads`.
            with contextlib.suppress(AdapterError), translating(key):
                client.abort_multipart_upload(**upload)
            raise
        return Version(answer["ETag"])

    def delete(self, key: str, *, if_version: Version | None = None) -> None:
        rules.check_key(key)
        if if_version is None:
            with translating(key):
                self._client.delete_object(Bucket=self._bucket, Key=key)
            return
        rules.check_stored_version(key, if_version)
        with translating(key, swap=True):
            self._client.delete_object(Bucket=self._bucket, Key=key, IfMatch=if_version)

    def copy(self, source: str, target: str) -> Version:
        origin = {"Bucket": self._bucket, "Key": rules.check_key(source)}
        place = {"Bucket": self._bucket, "Key": rules.check_key(target)}
        try:
            with translating(source):
                return quoted(self._client.copy_object(**place, CopySource=origin)["CopyObjectResult"]["ETag"])
        except Invalid:
            with translating(source):
                known = self._client.head_object(**origin)
            if known["ContentLength"] <= COPY_BYTES:
                raise
        return copy_in_parts(self._clients, origin, place, known)

    def get_many(self, keys: Iterable[str]) -> Iterator[Object]:
        return raising(self.get_each(keys))

    def put_many(self, items: Iterable[tuple[str, Body]]) -> Versions:
        return [*raising(self.put_each(items))]

    def get_each(self, keys: Iterable[str]) -> Iterator[Object | AdapterError]:
        return self._bulk.get_each(keys)

    def put_each(self, items: Iterable[tuple[str, Body]]) -> Iterator[Version | AdapterError]:
        return self._bulk.put_each(items)

    def presign(self, key: str, *, verb: str = "GET", expires_seconds: int = 900) -> str:
        rules.check_presign(rules.check_key(key), verb, expires_seconds)
        with translating(key):
            return self._client.generate_presigned_url(
                "get_object" if verb == "GET" else "put_object",
                Params={"Bucket": self._bucket, "Key": key},
                ExpiresIn=expires_seconds,
                HttpMethod=verb,
            )

    def tags(self, key: str) -> dict[str, str]:
        with translating(rules.check_key(key)):
            answer = self._client.get_object_tagging(Bucket=self._bucket, Key=key)
        return {tag["Key"]: tag["Value"] for tag in answer["TagSet"]}

    def set_tags(self, key: str, tags: Mapping[str, str]) -> None:
        pairs = [{"Key": name, "Value": value} for name, value in rules.check_tags(key, tags).items()]
        with translating(rules.check_key(key)):
            if pairs:
                self._client.put_object_tagging(Bucket=self._bucket, Key=key, Tagging={"TagSet": pairs})
            else:
                self._client.delete_object_tagging(Bucket=self._bucket, Key=key)

    def set_storage_class(self, key: str, storage_class: StorageClass) -> None:
        place = {"Bucket": self._bucket, "Key": rules.check_key(key)}
        with translating(key):
            known = self._client.head_object(**place)
        wanted = CLASSES[StorageClass(storage_class)]
        if known["ContentLength"] > COPY_BYTES:
            copy_in_parts(self._clients, place, place, known, storage_class=wanted)
            return
        with translating(key, swap=True):
            # A copy onto itself: both conditions, or a write in between would be undone by it. Its metadata is given
            # anew because some servers take a copy that changes only the class for one that changes nothing.
            self._client.copy_object(
                **place,
                CopySource=place,
                CopySourceIfMatch=known["ETag"],
                IfMatch=known["ETag"],
                StorageClass=wanted,
                MetadataDirective="REPLACE",
                Metadata=known["Metadata"],
                ContentType=known["ContentType"],
            )

    def sweep_uploads(self, *, older_than_seconds: float, prefix: str = "") -> int:
        before = datetime.now(UTC) - timedelta(seconds=older_than_seconds)
        swept = 0
        with translating(prefix or self._bucket):
            pages = self._client.get_paginator("list_multipart_uploads").paginate(Bucket=self._bucket, Prefix=prefix)
            for upload in chain.from_iterable(page.get("Uploads", ()) for page in pages):
                if upload["Initiated"] < before:
                    self._client.abort_multipart_upload(
                        Bucket=self._bucket, Key=upload["Key"], UploadId=upload["UploadId"]
                    )
                    swept += 1
        return swept

    def open_stream(
        self, key: str, *, chunk_bytes: int, start: int = 0, if_version: Version | None = None
    ) -> _Download:
        rules.check_chunk(rules.check_key(key), chunk_bytes)
        request: dict[str, str] = {"IfMatch": if_version} if if_version is not None else {}
        if start:
            request["Range"] = f"bytes={start}-"
        with translating(key):
            answer = self._client.get_object(Bucket=self._bucket, Key=key, **request)
        return _Download(key, answer, chunk_bytes)

    def written_by(self, key: str) -> tuple[ObjectInfo, str]:
        with translating(rules.check_key(key)):
            answer = self._client.head_object(Bucket=self._bucket, Key=key)
        return _info(key, answer), answer["Metadata"].get(rules.WRITER, "")

    def close(self) -> None:
        """Free the connections."""
        if "_bulk" in self.__dict__:
            self._bulk.close()
        self._clients.close()

    @cached_property
    def _bulk(self) -> Bulk:
        from adapters.drivers.storage.bulk import Bulk

        return Bulk(
            s3_client.bulk_store(self._clients), self, version_of=lambda answer: answer["e_tag"], meanings=BY_STATUS
        )


class _Download:
    """One answer of the server, read piece by piece, so it is of one version by itself."""

    def __init__(self, key: str, answer: Mapping[str, Any], chunk_bytes: int) -> None:
        self.version = Version(answer["ETag"])
        self._key, self._body, self._chunk_bytes = key, answer["Body"], chunk_bytes

    def __iter__(self) -> Iterator[bytes]:
        while True:
            with translating(self._key):
                chunk = self._body.read(self._chunk_bytes)
            if not chunk:
                return
            yield chunk

    def close(self) -> None:
        self._body.close()


def _info(key: str, answer: Mapping[str, Any]) -> ObjectInfo:
    return ObjectInfo(
        key,
        answer["ContentLength"],
        Version(answer["ETag"]),
        answer["LastModified"],
        TIERS.get(answer.get("StorageClass", ""), StorageClass.HOT),
        answer.get("ContentType", ""),
        rules.visible(answer["Metadata"]),
    )


def _listed(entry: Mapping[str, Any]) -> ObjectInfo:
    return ObjectInfo(
        entry["Key"],
        entry["Size"],
        Version(entry["ETag"]),
        entry["LastModified"],
        TIERS.get(entry.get("StorageClass", ""), StorageClass.HOT),
    )


def _about(
    key: str, content_type: str, metadata: Mapping[str, str] | None, storage_class: StorageClass
) -> dict[str, Any]:
    about: dict[str, Any] = {"ContentType": content_type}
    if metadata:
        about["Metadata"] = rules.check_metadata(key, metadata)
    if storage_class is not StorageClass.HOT:
        about["StorageClass"] = CLASSES[StorageClass(storage_class)]
    return about


def _condition(if_version: Version | None) -> dict[str, str]:
    if if_version is None:
        return {}
    return {"IfMatch": if_version} if if_version else {"IfNoneMatch": "*"}
