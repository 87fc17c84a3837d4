"""Copies of objects that are too long for S3 to copy in one request: the server puts ranges of the source together."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from adapters.drivers.storage.s3_errors import translating
from adapters.errors import AdapterError
from adapters.ports import Version

if TYPE_CHECKING:
    from adapters.drivers.storage.s3_client import Clients

COPY_BYTES: Final = 5 << 30
"""The longest object that S3 copies in one request."""
COPY_PART_BYTES: Final = 1 << 30


def copy_in_parts(
    clients: Clients,
    source: dict[str, str],
    target: dict[str, str],
    known: Mapping[str, Any],
    *,
    storage_class: str = "",
    part_bytes: int = COPY_PART_BYTES,
) -> Version:
    """Copy `source`, of which `known` is the head, with all that belongs to it. Places are `Bucket` and `Key`.

    Raises Conflict when the source is overwritten meanwhile; onto itself, also when it was after its last part was read.
    """
    about: dict[str, Any] = {"Metadata": known["Metadata"], "ContentType": known["ContentType"]}
    about["StorageClass"] = storage_class or known.get("StorageClass", "STANDARD")
    condition = {"IfMatch": known["ETag"]} if source == target else {}
    with translating(source["Key"]):
        pairs = clients.once.get_object_tagging(**source)["TagSet"]
        if pairs:
            about["Tagging"] = urlencode({pair["Key"]: pair["Value"] for pair in pairs})
        upload = clients.parts.create_multipart_upload(**target, **about)["UploadId"]
    try:
        with translating(source["Key"], swap=True):
            parts = _copied(clients.parts, source, {**target, "UploadId": upload}, known, part_bytes)
            answer = clients.once.complete_multipart_upload(
                **target, UploadId=upload, MultipartUpload={"Parts": parts}, **condition
            )
    except BaseException:
        # The first error is the one to be told; parts that cannot be removed now are found by `sweep_uploads`.
        with contextlib.suppress(AdapterError), translating(target["Key"]):
            clients.parts.abort_multipart_upload(**target, UploadId=upload)
        raise
    return quoted(answer["ETag"])


def _copied(
    client: Any, source: dict[str, str], upload: dict[str, str], known: Mapping[str, Any], part_bytes: int
) -> list[dict[str, Any]]:
    size = known["ContentLength"]
    parts: list[dict[str, Any]] = []
    for number, start in enumerate(range(0, size, part_bytes), start=1):
        answer = client.upload_part_copy(
            **upload,
            PartNumber=number,
            CopySource=source,
            CopySourceIfMatch=known["ETag"],
            CopySourceRange=f"bytes={start}-{min(start + part_bytes, size) - 1}",
        )
        parts.append({"PartNumber": number, "ETag": answer["CopyPartResult"]["ETag"]})
    return parts


def quoted(tag: str) -> Version:
    """An ETag as all other answers give it: some servers leave the quotes out of a copy's."""
    return Version(tag if tag.startswith('"') else f'"{tag}"')
