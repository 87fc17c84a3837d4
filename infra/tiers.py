"""The life of an object from hot to deleted: whether a policy can be, and whether it saves anything."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

WARM_DAYS, COLD_DAYS = 30, 90
"""Paid for at least so long, on AWS (STANDARD_IA, GLACIER_IR) and on GCP (NEARLINE, COLDLINE) alike.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/storage-class-intro.html
https://cloud.google.com/storage/docs/storage-classes
"""


class Tiers(Protocol):
    """What `TiersSpec` holds."""

    @property
    def warm_after_days(self) -> int | None: ...
    @property
    def cold_after_days(self) -> int | None: ...
    @property
    def delete_after_days(self) -> int | None: ...


def mistakes(tiers: Tiers) -> Iterator[tuple[str, str]]:
    """(field, what is wrong with it): an order that cannot be, or a move that costs more than it saves."""
    warm, cold, delete = tiers.warm_after_days, tiers.cold_after_days, tiers.delete_after_days
    if warm is not None and warm < WARM_DAYS:
        yield "warm_after_days", f"{warm} days; no cloud moves an object to warm storage before {WARM_DAYS}"
    if warm is not None and cold is not None and cold - warm < WARM_DAYS:
        yield (
            "cold_after_days",
            f"{cold} days, {cold - warm} after warm; warm storage is paid for {WARM_DAYS} days, so a move before "
            f"day {warm + WARM_DAYS} costs more than it saves",
        )
    if delete is None:
        return
    for name, after, least in (("warm", warm, WARM_DAYS), ("cold", cold, COLD_DAYS)):
        if after is not None and delete - after < least and not (name == "warm" and cold is not None):
            yield (
                "delete_after_days",
                f"{delete} days, {delete - after} after {name}; {name} storage is paid for {least} days: delete on day "
                f"{after + least} or later, or leave {name}_after_days out",
            )
