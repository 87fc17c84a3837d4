"""AWS, rehearsed: one file a service, each a tuple of `Kind`s."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping

from infra.providers.values import Properties
from infra.rehearsal.aws import ec2, kms, s3
from infra.rehearsal.kinds import Kind

ACCOUNT = "000000000000"
"""No account has this number: nothing that was rehearsed can be taken for, or used against, a real one."""

KINDS: tuple[Kind, ...] = (*s3.KINDS, *kms.KINDS, *ec2.KINDS)

FUNCTIONS: Mapping[str, Callable[[str, Properties], Properties]] = {
    "aws:index/getAvailabilityZones:getAvailabilityZones": ec2.zones,
}


@functools.cache
def regions() -> list[str]:
    """The regions of the commercial partition, as botocore lists them."""
    from boto3.session import Session

    return Session().get_available_regions("ec2")
