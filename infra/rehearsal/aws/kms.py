"""Keys, and the names for them."""

from __future__ import annotations

from collections.abc import Iterator

from infra.providers.values import Properties
from infra.rehearsal.kinds import Kind, Making

_API = "https://docs.aws.amazon.com/kms/latest/APIReference/API_"


def _id(making: Making) -> str:
    digits = making.token(32, salt="key")
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def _key(making: Making) -> Properties:
    account = making.account
    return {
        "keyId": _id(making),
        "arn": f"arn:aws:kms:{account.region}:{account.id}:key/{_id(making)}",
        "tagsAll": making.inputs.get("tags", {}),
    }


def _waits(inputs: Properties) -> Iterator[tuple[str, str]]:
    days = inputs.get("deletionWindowInDays")
    if isinstance(days, int) and not 7 <= days <= 30:
        yield "deletionWindowInDays", f"is {days}; KMS waits 7 to 30 days"


def _named(inputs: Properties) -> Iterator[tuple[str, str]]:
    name = inputs.get("name")
    if isinstance(name, str) and (not name.startswith("alias/") or name.startswith("alias/aws/")):
        yield "name", f"is {name!r}; an alias begins with alias/, and alias/aws/ is Amazon's"


KINDS: tuple[Kind, ...] = (
    Kind(
        "aws:kms/key:Key",
        source=_API + "ScheduleKeyDeletion.html",
        identify=_id,
        outputs=_key,
        checks=(_waits,),
        replaces=frozenset({"keyUsage", "customerMasterKeySpec", "multiRegion", "customKeyStoreId"}),
    ),
    Kind(
        "aws:kms/alias:Alias",
        source=_API + "CreateAlias.html",
        identify=lambda making: str(making.inputs["name"]),
        outputs=lambda making: {
            "arn": f"arn:aws:kms:{making.account.region}:{making.account.id}:{making.inputs['name']}",
        },
        checks=(_named,),
        replaces=frozenset({"name"}),
        unique=("name",),
    ),
)
