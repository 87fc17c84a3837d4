"""Object storage on AWS, brought up, changed, broken and taken down by the real engine against a rehearsed control plane."""

from __future__ import annotations

import json

import msgspec
import pytest

from infra.rehearsal.journal import Line
from tests.deadline import until
from tests.rehearsal.conftest import Rehearsal

BUCKET = "aws:s3/bucket:Bucket"
LIFECYCLE = "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration"
CHANGES = 8
"""Resources of the component that the cloud is asked to make."""
NAMED = 2
"""The first of them, key and bucket, are things of their own; the others are settings of the bucket."""


def program(tiers: str = "TiersSpec(warm_after_days=30, cold_after_days=90)", disposable: bool = True) -> str:
    return f"""
from infra.clouds.aws.storage import Storage, StorageArgs
from infra.spec import StorageSpec, TiersSpec

provider = aws.Provider("aws", region="eu-central-1")
spec = StorageSpec(tiers={tiers})
args = StorageArgs(spec, "dev", disposable={disposable}, tags={{"environment": "dev"}})
made = Storage("artifacts", args, pulumi.ResourceOptions(providers=[provider]))
pulumi.export("bucket", made.bucket)
pulumi.export("key", made.key_arn)
"""


def test_it_comes_up_stays_as_it_is_and_goes_to_nothing(rehearsal: Rehearsal) -> None:
    rehearsal.write(program())
    rehearsal.project.up()
    found = {thing.type.rsplit(":", 1)[-1]: thing.inputs for thing in rehearsal.cloud().things()}
    assert len(found) == CHANGES
    bucket = found["Bucket"]["bucket"]
    assert bucket.startswith("artifacts-dev-")
    assert found["BucketVersioning"]["versioningConfiguration"] == {"status": "Enabled"}
    assert set(found["BucketPublicAccessBlock"].values()) == {bucket, True}
    [encryption] = found["BucketServerSideEncryptionConfiguration"]["rules"]
    default = encryption["applyServerSideEncryptionByDefault"]
    assert default == {"sseAlgorithm": "aws:kms", "kmsMasterKeyId": rehearsal.project.outputs()["key"]}
    assert found["Key"]["enableKeyRotation"] is True
    denied = json.loads(found["BucketPolicy"]["policy"])["Statement"]
    assert {(one["Effect"], one["Principal"], one["Action"]) for one in denied} == {("Deny", "*", "s3:*")}
    assert [one["Condition"] for one in denied] == [
        {"Bool": {"aws:SecureTransport": "false"}},
        {"NumericLessThan": {"s3:TlsVersion": "1.2"}},
    ]
    tidy, ages = found["BucketLifecycleConfiguration"]["rules"]
    assert tidy["abortIncompleteMultipartUpload"] == {"daysAfterInitiation": 7}
    assert tidy["noncurrentVersionExpiration"] == {"noncurrentDays": 30}
    assert [(one["days"], one["storageClass"]) for one in ages["transitions"]] == [
        (30, "STANDARD_IA"),
        (90, "GLACIER_IR"),
    ]
    rehearsal.project.preview("--expect-no-changes")
    rehearsal.project.refresh("--expect-no-changes")
    rehearsal.project.destroy()
    assert rehearsal.cloud().things() == []


def test_another_tier_policy_changes_the_lifecycle_in_place_and_nothing_else(rehearsal: Rehearsal) -> None:
    rehearsal.write(program())
    rehearsal.project.up()
    before = rehearsal.project.outputs()
    rehearsal.write(program("TiersSpec(warm_after_days=45)"))
    rehearsal.project.up()
    changed = [line for line in lines(rehearsal) if line.verb != "create"]
    assert [(line.verb, line.type) for line in changed] == [("update", LIFECYCLE)]
    ages = changed[0].inputs["rules"][1]
    assert ages["transitions"] == [{"days": 45, "storageClass": "STANDARD_IA"}]
    assert rehearsal.project.outputs() == before


def test_what_changed_behind_the_engines_back_is_found_and_put_right(rehearsal: Rehearsal) -> None:
    rehearsal.write(program())
    rehearsal.project.up()
    cloud = rehearsal.cloud()
    [block] = [thing for thing in cloud.things() if thing.type.endswith(":BucketPublicAccessBlock")]
    opened = {**block.inputs, "blockPublicPolicy": False}
    cloud.write(Line("drift", block.type, block.id, block.urn, opened, opened, block.serial))
    assert "blockPublicPolicy" in rehearsal.project.preview("--refresh", "--diff")
    rehearsal.project.up("--refresh")
    found = rehearsal.cloud().find(block.type, block.id)
    assert found is not None and found.inputs["blockPublicPolicy"] is True


def test_a_bucket_that_somebody_deleted_is_made_again(rehearsal: Rehearsal) -> None:
    rehearsal.write(program())
    rehearsal.project.up()
    cloud = rehearsal.cloud()
    [bucket] = [thing for thing in cloud.things() if thing.type == BUCKET]
    cloud.write(Line("delete", bucket.type, bucket.id, bucket.urn))
    rehearsal.project.up("--refresh")
    assert [thing.type for thing in rehearsal.cloud().things()].count(BUCKET) == 1


def test_what_holds_data_is_protected_unless_the_environment_is_disposable(rehearsal: Rehearsal) -> None:
    rehearsal.write(program(disposable=False))
    rehearsal.project.up()
    said = rehearsal.project.pulumi("destroy", "--yes", "--skip-preview", fails=True)
    assert "protected" in said
    kept = {thing.type for thing in rehearsal.cloud().things()}
    assert {BUCKET, "aws:kms/key:Key"} <= kept


def test_what_the_cloud_would_refuse_is_refused_in_the_preview_before_anything_is_made(rehearsal: Rehearsal) -> None:
    rehearsal.write(
        "o = pulumi.ResourceOptions(provider=aws.Provider('aws', region='eu-central-1'))\n"
        "aws.s3.BucketVersioning('v', bucket='b', opts=o, versioning_configuration={'status': 'Enabled', 'mfaDelte': 'x'})"
    )
    assert "versioningConfiguration.mfaDelte" in (said := rehearsal.project.preview(fails=True))
    assert "is not an input; did you mean 'mfaDelete'?" in said
    rehearsal.project.up(fails=True)
    assert not lines(rehearsal)


def test_two_buckets_of_one_name_are_refused(rehearsal: Rehearsal) -> None:
    rehearsal.write(
        "o = pulumi.ResourceOptions(provider=aws.Provider('aws', region='eu-central-1'))\n"
        "first = aws.s3.Bucket('one', bucket='the-same-name', opts=o)\n"
        "aws.s3.Bucket('two', bucket='the-same-name', opts=pulumi.ResourceOptions.merge(o, "
        "pulumi.ResourceOptions(depends_on=[first])))"
    )
    assert "'the-same-name' is taken by" in rehearsal.project.up(fails=True)


@pytest.mark.parametrize(("kind", "number"), [("die", 1), ("lost", 2), ("lost", 5), ("fail", CHANGES)])
def test_an_update_that_breaks_at_any_change_is_gone_on_with(rehearsal: Rehearsal, kind: str, number: int) -> None:
    rehearsal.write(program())
    rehearsal.plan_fault(f"{kind}@{number}")
    rehearsal.project.up(fails=True)
    rehearsal.plan_fault("")
    rehearsal.project.refresh("--clear-pending-creates")
    rehearsal.project.up("--refresh")
    rehearsal.project.preview("--expect-no-changes")
    rehearsal.project.destroy()
    # What was made under a name of its own before its answer was lost, the engine never heard of.
    orphans = [thing.type for thing in rehearsal.cloud().things()]
    assert len(orphans) == (kind == "lost" and number <= NAMED), orphans


def test_an_update_that_hangs_ends_when_it_is_interrupted_and_is_gone_on_with(rehearsal: Rehearsal) -> None:
    rehearsal.write(program())
    rehearsal.plan_fault("hang@3")
    running = rehearsal.project.start("up", "--yes", "--skip-preview")
    until(lambda: len(rehearsal.cloud().things()) >= NAMED, seconds=60, what="the changes before the one that hangs")
    running.interrupt()
    running.wait()
    rehearsal.plan_fault("")
    rehearsal.project.refresh("--clear-pending-creates")
    rehearsal.project.up("--refresh")
    rehearsal.project.preview("--expect-no-changes")
    assert len(rehearsal.cloud().things()) == CHANGES


def test_nothing_is_rehearsed_by_accident(rehearsal: Rehearsal) -> None:
    del rehearsal.project.env["ISTHMUS_REHEARSAL"]
    rehearsal.write(program())
    assert "ISTHMUS_REHEARSAL is not set" in rehearsal.project.preview(fails=True)


def test_every_kind_names_its_source() -> None:
    from infra.rehearsal import aws

    for kind in aws.KINDS:
        assert kind.source.startswith("https://docs.aws.amazon.com/"), kind.token


def lines(rehearsal: Rehearsal) -> list[Line]:
    """Every change the cloud was asked for."""
    path = rehearsal.folder / "aws.jsonl"
    found = path.read_bytes().splitlines() if path.exists() else []
    return [msgspec.json.decode(raw, type=Line) for raw in found]
