"""AWS, rehearsed: one file a service, each a tuple of `Kind`s."""

from __future__ import annotations

from infra.rehearsal.aws import kms, s3
from infra.rehearsal.kinds import Kind

ACCOUNT = "000000000000"
"""No account has this number: nothing that was rehearsed can be taken for, or used against, a real one."""

KINDS: tuple[Kind, ...] = (*s3.KINDS, *kms.KINDS)
