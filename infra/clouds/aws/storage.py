"""Object storage on AWS: one private, encrypted, versioned S3 bucket whose objects age by the tiers of the spec."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pulumi
import pulumi_aws as aws

from infra.spec import StorageSpec, TiersSpec

if TYPE_CHECKING:
    from pulumi_aws.s3 import BucketLifecycleConfigurationRuleArgsDict as Rule
    from pulumi_aws.s3 import BucketLifecycleConfigurationRuleTransitionArgsDict as Move

WARM, COLD = "STANDARD_IA", "GLACIER_IR"
"""As `adapters` reads them back: cheaper to keep, and still answered at once."""


@dataclass(frozen=True)
class StorageArgs:
    """`disposable`: destroying the stack deletes the objects too; otherwise a bucket that holds any refuses to go."""

    spec: StorageSpec
    environment: str
    disposable: bool = False
    tags: Mapping[str, str] = field(default_factory=dict)


class Storage(pulumi.ComponentResource):
    """`bucket` is its whole name, `key_arn` the key that what it holds is encrypted with."""

    bucket: pulumi.Output[str]
    arn: pulumi.Output[str]
    key_arn: pulumi.Output[str]

    def __init__(self, name: str, args: StorageArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("isthmus:aws:Storage", name, {}, opts)
        mine = pulumi.ResourceOptions(parent=self)
        kept = pulumi.ResourceOptions(parent=self, protect=not args.disposable)
        key = aws.kms.Key(
            name,
            description=f"objects of {args.environment}",
            enable_key_rotation=True,
            deletion_window_in_days=7 if args.disposable else 30,
            tags=args.tags,
            opts=kept,
        )
        made = aws.s3.Bucket(
            name,
            bucket_prefix=f"{args.spec.bucket}-{args.environment}-"[:37],  # 26 characters are left for what is random
            force_destroy=args.disposable,
            tags=args.tags,
            opts=kept,
        )
        self._guard(name, made, key, mine)
        aws.s3.BucketLifecycleConfiguration(
            name,
            bucket=made.bucket,
            transition_default_minimum_object_size="all_storage_classes_128K",  # below it a move costs more than it saves
            rules=lifecycle(args.spec.tiers),
            opts=mine,
        )
        self.bucket, self.arn, self.key_arn = made.bucket, made.arn, key.arn
        self.register_outputs({"bucket": self.bucket, "arn": self.arn, "key_arn": self.key_arn})

    @staticmethod
    def _guard(name: str, made: aws.s3.Bucket, key: aws.kms.Key, mine: pulumi.ResourceOptions) -> None:
        aws.s3.BucketVersioning(name, bucket=made.bucket, versioning_configuration={"status": "Enabled"}, opts=mine)
        aws.s3.BucketServerSideEncryptionConfiguration(
            name,
            bucket=made.bucket,
            rules=[
                {
                    "apply_server_side_encryption_by_default": {
                        "sse_algorithm": "aws:kms",
                        "kms_master_key_id": key.arn,
                    },
                    "bucket_key_enabled": True,  # one call to KMS for many objects
                }
            ],
            opts=mine,
        )
        aws.s3.BucketOwnershipControls(
            name, bucket=made.bucket, rule={"object_ownership": "BucketOwnerEnforced"}, opts=mine
        )
        closed = aws.s3.BucketPublicAccessBlock(
            name,
            bucket=made.bucket,
            block_public_acls=True,
            block_public_policy=True,
            ignore_public_acls=True,
            restrict_public_buckets=True,
            opts=mine,
        )
        aws.s3.BucketPolicy(
            name,
            bucket=made.bucket,
            policy=made.arn.apply(lambda arn: json.dumps(tls_only(arn))),
            # S3 refuses both at once: https://repost.aws/knowledge-center/s3-troubleshoot-operation-aborted
            opts=pulumi.ResourceOptions.merge(mine, pulumi.ResourceOptions(depends_on=[closed])),
        )


def tls_only(arn: str) -> dict[str, Any]:
    """The bucket policy that refuses plain HTTP, and TLS before 1.2, to everybody."""
    everything = {"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": [arn, f"{arn}/*"]}
    return {
        "Version": "2012-10-17",
        "Statement": [
            {"Sid": "TlsOnly", **everything, "Condition": {"Bool": {"aws:SecureTransport": "false"}}},
            {"Sid": "Tls12", **everything, "Condition": {"NumericLessThan": {"s3:TlsVersion": "1.2"}}},
        ],
    }


def lifecycle(tiers: TiersSpec) -> list[Rule]:
    """The tiers as S3's lifecycle rules."""
    ages: Rule = {"id": "age", "status": "Enabled", "filter": {"prefix": ""}}
    moves = [(tiers.warm_after_days, WARM), (tiers.cold_after_days, COLD)]
    transitions: list[Move] = [{"days": days, "storage_class": to} for days, to in moves if days is not None]
    if transitions:
        ages["transitions"] = [*transitions]
    if tiers.delete_after_days is not None:
        ages["expiration"] = {"days": tiers.delete_after_days}
    tidy: Rule = {
        "id": "tidy",
        "status": "Enabled",
        "filter": {"prefix": ""},
        "abort_incomplete_multipart_upload": {"days_after_initiation": tiers.broken_uploads_days},
    }
    if tiers.previous_versions_days is not None:
        tidy["noncurrent_version_expiration"] = {"noncurrent_days": tiers.previous_versions_days}
    return [tidy, ages] if ages.keys() & {"transitions", "expiration"} else [tidy]
