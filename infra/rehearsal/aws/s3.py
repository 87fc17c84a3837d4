"""S3 buckets and what is set on them, each a resource of its own."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Iterator, Mapping
from typing import Any

from infra.providers.values import Properties, has_unknown
from infra.rehearsal.kinds import Kind, Making, Naming

NAMES = Naming(
    "bucket",
    r"(?!xn--|sthree-|amzn-s3-demo-)(?!.*(?:-s3alias|--ol-s3|\.mrap|--x-s3|--table-s3)$)(?!.*\.\.)[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]",
    "a bucket's name is 3 to 63 lower-case letters, digits, dots and hyphens, none of S3's own endings",
    prefix="bucketPrefix",
)
TRANSITIONS = ("STANDARD_IA", "INTELLIGENT_TIERING", "ONEZONE_IA", "GLACIER_IR", "GLACIER", "DEEP_ARCHIVE")
"""In the order in which S3 lets an object go down."""
INFREQUENT_DAYS = 30
"""An object stays so long in STANDARD before it may become infrequent access."""


def _bucket(making: Making) -> Properties:
    region = making.account.region
    return {
        "arn": f"arn:aws:s3:::{making.name}",
        "bucketDomainName": f"{making.name}.s3.amazonaws.com",
        "bucketRegionalDomainName": f"{making.name}.s3.{region}.amazonaws.com",
        "bucketRegion": region,
        "hostedZoneId": making.token(14, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", salt="zone"),
        "tagsAll": making.inputs.get("tags", {}),
    }


def _not_an_address(inputs: Properties) -> Iterator[tuple[str, str]]:
    try:
        ipaddress.ip_address(inputs["bucket"])
    except ValueError:
        return
    yield "bucket", "an IP address cannot be a bucket's name"


def _lifecycle(inputs: Properties) -> Iterator[tuple[str, str]]:
    rules = inputs["rules"]
    ids = [rule.get("id") for rule in rules]
    if len(rules) > 1000:
        yield "rules", f"{len(rules)} rules; S3 takes 1,000"
    for number, rule in enumerate(rules):
        at = f"rules[{number}]"
        if ids.count(rule.get("id")) > 1:
            yield f"{at}.id", f"{rule.get('id')!r} is given to another rule too"
        yield from _rule(rule, at)


def _rule(rule: Mapping[str, Any], at: str) -> Iterator[tuple[str, str]]:
    transitions = sorted(rule.get("transitions", ()), key=lambda one: one.get("days", 0))
    expires = (rule.get("expiration") or {}).get("days")
    last_days, last_class = -1, ""
    for one in transitions:
        days, target = one.get("days", 0), one.get("storageClass", "")
        if target in ("STANDARD_IA", "ONEZONE_IA") and days < INFREQUENT_DAYS:
            yield f"{at}.transitions", f"to {target} after {days} days; S3 takes {INFREQUENT_DAYS} or more"
        if days == last_days:
            yield f"{at}.transitions", f"two transitions after {days} days"
        if last_class and TRANSITIONS.index(target) < TRANSITIONS.index(last_class):
            yield f"{at}.transitions", f"from {last_class} back to {target}; S3 only moves downwards"
        if expires is not None and days >= expires:
            yield f"{at}.transitions", f"to {target} after {days} days, but the object expires after {expires}"
        last_days, last_class = days, target
    if not (transitions or expires is not None or rule.keys() & _OTHER_ACTIONS):
        yield at, "does nothing: give it a transition, an expiration, or an end to uploads that were broken off"


_OTHER_ACTIONS = {
    "expiration",
    "abortIncompleteMultipartUpload",
    "noncurrentVersionExpiration",
    "noncurrentVersionTransitions",
}


def _json_policy(inputs: Properties) -> Iterator[tuple[str, str]]:
    policy = inputs["policy"]
    if not isinstance(policy, str) or has_unknown(policy):
        return
    try:
        document = json.loads(policy)
    except ValueError as error:
        yield "policy", f"is not JSON: {error}"
        return
    if not isinstance(document, dict) or document.get("Version") not in ("2012-10-17", "2008-10-17"):
        yield "policy", "has no Version; expected 2012-10-17"
    for number, statement in enumerate(document.get("Statement", [])):
        if statement.get("Effect") not in ("Allow", "Deny"):
            yield "policy", f"Statement[{number}].Effect is {statement.get('Effect')!r}; expected Allow or Deny"
        if not statement.keys() & {"Principal", "NotPrincipal"}:
            yield "policy", f"Statement[{number}] of a bucket's policy names no Principal"


_OF_BUCKET = frozenset({"bucket"})
# Each of them is set by a PUT: setting it again, also by another resource, overwrites and is no error.
_BY_BUCKET: dict[str, Any] = {"identify": lambda making: str(making.inputs["bucket"]), "replaces": _OF_BUCKET}
_API = "https://docs.aws.amazon.com/AmazonS3/latest/API/API_"
_GUIDE = "https://docs.aws.amazon.com/AmazonS3/latest/userguide/"

KINDS: tuple[Kind, ...] = (
    Kind(
        "aws:s3/bucket:Bucket",
        source=_GUIDE + "bucketnamingrules.html",
        identify=lambda making: making.name,
        outputs=_bucket,
        naming=NAMES,
        replaces=frozenset({"bucket", "bucketPrefix", "objectLockEnabled", "bucketNamespace"}),
        checks=(_not_an_address,),
        unique=("bucket",),
        defaults={"forceDestroy": False},
    ),
    Kind("aws:s3/bucketVersioning:BucketVersioning", source=_API + "PutBucketVersioning.html", **_BY_BUCKET),
    Kind(
        "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock",
        source=_API + "PutPublicAccessBlock.html",
        **_BY_BUCKET,
    ),
    Kind(
        "aws:s3/bucketOwnershipControls:BucketOwnershipControls",
        source=_API + "PutBucketOwnershipControls.html",
        **_BY_BUCKET,
    ),
    Kind(
        "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration",
        source=_API + "PutBucketEncryption.html",
        **_BY_BUCKET,
    ),
    Kind(
        "aws:s3/bucketPolicy:BucketPolicy",
        source=_API + "PutBucketPolicy.html",
        checks=(_json_policy,),
        **_BY_BUCKET,
    ),
    Kind(
        "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration",
        source=_GUIDE + "lifecycle-transition-general-considerations.html",
        checks=(_lifecycle,),
        **_BY_BUCKET,
    ),
)
