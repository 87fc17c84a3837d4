"""What a rehearsed AWS refuses: the inputs as they come over the wire, each mistake with its place and its reason."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from infra.providers.base import Call, ProviderError, State
from infra.providers.values import UNKNOWN
from infra.rehearsal.journal import Journal, Line
from infra.rehearsal.main import RehearsedCloud, rehearsed

BUCKET = "aws:s3/bucket:Bucket"
VERSIONING = "aws:s3/bucketVersioning:BucketVersioning"
LIFECYCLE = "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration"
KEY = "aws:kms/key:Key"
RULE = {"id": "r", "status": "Enabled"}


@pytest.fixture
def cloud(tmp_path: Path) -> RehearsedCloud:
    made = rehearsed("aws", tmp_path, {})
    made.configure({"region": "eu-central-1"})
    return made


def call(name: str = "artifacts", token: str = BUCKET) -> Call:
    return Call(urn=f"urn:pulumi:dev::isthmus::{token}::{name}", random_seed=b"seed")


def refusals(cloud: RehearsedCloud, token: str, inputs: dict[str, Any]) -> dict[str, str]:
    return {one.property: one.reason for one in cloud.resource(token).check(call(token=token), {}, inputs).failures}


def lifecycle(*transitions: tuple[int, str], expires: int | None = None) -> dict[str, Any]:
    rule: dict[str, Any] = {**RULE, "transitions": [{"days": days, "storageClass": to} for days, to in transitions]}
    return {"bucket": "b-b", "rules": [rule | ({"expiration": {"days": expires}} if expires else {})]}


@pytest.mark.parametrize(
    ("token", "inputs", "place", "reason"),
    [
        (BUCKET, {"bucket": "Upper_Case"}, "bucket", "3 to 63 lower-case letters"),
        (BUCKET, {"bucket": "ab"}, "bucket", "3 to 63 lower-case letters"),
        (BUCKET, {"bucket": "a..b"}, "bucket", "3 to 63 lower-case letters"),
        (BUCKET, {"bucket": "xn--bucket"}, "bucket", "none of S3's own endings"),
        (BUCKET, {"bucket": "bucket-s3alias"}, "bucket", "none of S3's own endings"),
        (BUCKET, {"bucket": "192.168.0.1"}, "bucket", "an IP address cannot be a bucket's name"),
        (BUCKET, {"acl": "publik"}, "acl", "expected one of private, public-read"),
        (BUCKET, {"forceDestroy": "perhaps"}, "forceDestroy", "expected boolean, got str 'perhaps'"),
        (BUCKET, {"tags": {"cost": {"centre": 7}}}, "tags.cost", "expected string, got dict"),
        (BUCKET, {"bukket": "b"}, "bukket", "did you mean 'bucket'?"),
        (VERSIONING, {"bucket": "b-b"}, "versioningConfiguration", "is required"),
        (VERSIONING, {"bucket": "b-b", "versioningConfiguration": {}}, "versioningConfiguration.status", "is required"),
        (VERSIONING, {"bucket": "b-b", "versioningConfiguration": []}, "versioningConfiguration", "expected object"),
        ("aws:s3/bucketPolicy:BucketPolicy", {"bucket": "b-b", "policy": "{"}, "policy", "is not JSON"),
        (
            "aws:s3/bucketPolicy:BucketPolicy",
            {"bucket": "b-b", "policy": '{"Version": "2012-10-17", "Statement": [{"Effect": "Deny"}]}'},
            "policy",
            "names no Principal",
        ),
        (LIFECYCLE, lifecycle((7, "STANDARD_IA")), "rules[0].transitions", "after 7 days; S3 takes 30 or more"),
        (LIFECYCLE, lifecycle((90, "GLACIER_IR"), expires=60), "rules[0].transitions", "expires after 60"),
        (LIFECYCLE, lifecycle((30, "GLACIER"), (60, "STANDARD_IA")), "rules[0].transitions", "only moves downwards"),
        (LIFECYCLE, lifecycle((30, "ICE")), "rules[0].transitions[0].storageClass", "expected one of"),
        (LIFECYCLE, {"bucket": "b-b", "rules": [RULE]}, "rules[0]", "does nothing"),
        (
            LIFECYCLE,
            {"bucket": "b-b", "rules": [{**RULE, "status": "On"}]},
            "rules[0].status",
            "expected one of Enabled, Disabled",
        ),
        (KEY, {"deletionWindowInDays": 3}, "deletionWindowInDays", "KMS waits 7 to 30 days"),
        (KEY, {"keyUsage": "SIGN"}, "keyUsage", "expected one of ENCRYPT_DECRYPT"),
        ("aws:kms/alias:Alias", {"name": "artifacts", "targetKeyId": "k"}, "name", "begins with alias/"),
    ],
)
def test_a_mistake_is_told_with_its_place_and_its_cure(
    cloud: RehearsedCloud, token: str, inputs: dict[str, Any], place: str, reason: str
) -> None:
    assert reason in refusals(cloud, token, inputs)[place]


def test_every_mistake_of_a_resource_is_told_at_once(cloud: RehearsedCloud) -> None:
    assert set(refusals(cloud, BUCKET, {"acl": "publik", "bukket": "b", "forceDestroy": 3})) == {
        "acl",
        "bukket",
        "forceDestroy",
    }


def test_what_a_preview_does_not_know_yet_is_no_mistake(cloud: RehearsedCloud) -> None:
    assert refusals(cloud, VERSIONING, {"bucket": UNKNOWN, "versioningConfiguration": {"status": UNKNOWN}}) == {}


def test_a_name_that_was_not_given_is_made_once_and_kept(cloud: RehearsedCloud) -> None:
    bucket = cloud.resource(BUCKET)
    first = bucket.check(call(), {}, {}).inputs
    assert first["bucket"].startswith("artifacts-") and len(first["bucket"]) == len("artifacts-") + 7
    assert bucket.check(call(), first, {"tags": {"a": "b"}}).inputs["bucket"] == first["bucket"]
    assert bucket.check(call(), {}, {"bucketPrefix": "logs-"}).inputs["bucket"].startswith("logs-")


def test_what_cannot_be_changed_in_place_is_replaced(cloud: RehearsedCloud) -> None:
    old = State("b-b", {"bucket": "b-b", "tags": {}}, {})
    changes = cloud.resource(BUCKET).diff(call(), old, {"bucket": "c-c", "tags": {"a": "b"}}).changes
    assert {change.path[0]: change.replaces for change in changes} == {"bucket": True, "tags": False}


def test_a_resource_keeps_its_identity_through_updates_and_its_replacement_has_another(cloud: RehearsedCloud) -> None:
    key = cloud.resource(KEY)
    made = key.create(call(token=KEY), {"description": "one"})
    assert key.update(call(token=KEY), made, {"description": "two"})["keyId"] == made.id
    assert key.create(call(token=KEY), {"description": "one"}).id != made.id


VPC, SUBNET, NAT = "aws:ec2/vpc:Vpc", "aws:ec2/subnet:Subnet", "aws:ec2/natGateway:NatGateway"


def make(cloud: RehearsedCloud, token: str, name: str, inputs: dict[str, Any]) -> State:
    resource, asked = cloud.resource(token), call(name, token)
    return resource.create(asked, resource.check(asked, {}, inputs).inputs)


@pytest.mark.parametrize(("cidr", "reason"), [("10.0.0.0/8", "between /16 and /28"), ("10.0.0.1/16", "host bits set")])
def test_a_range_that_no_network_can_have_is_refused(cloud: RehearsedCloud, cidr: str, reason: str) -> None:
    assert reason in refusals(cloud, VPC, {"cidrBlock": cidr})["cidrBlock"]


@pytest.mark.parametrize(
    ("cidr", "reason"), [("10.1.0.0/24", "is outside of 10.0.0.0/16"), ("10.0.0.128/25", "overlaps 10.0.0.0/24")]
)
def test_a_subnet_lies_in_its_network_and_beside_the_others(cloud: RehearsedCloud, cidr: str, reason: str) -> None:
    vpc = make(cloud, VPC, "main", {"cidrBlock": "10.0.0.0/16"})
    make(cloud, SUBNET, "one", {"vpcId": vpc.id, "cidrBlock": "10.0.0.0/24"})
    with pytest.raises(ProviderError, match=reason):
        make(cloud, SUBNET, "two", {"vpcId": vpc.id, "cidrBlock": cidr})


def test_what_is_in_use_cannot_be_deleted(cloud: RehearsedCloud) -> None:
    vpc = make(cloud, VPC, "main", {"cidrBlock": "10.0.0.0/16"})
    subnet = make(cloud, SUBNET, "one", {"vpcId": vpc.id, "cidrBlock": "10.0.0.0/24"})
    with pytest.raises(ProviderError, match=f"{vpc.id} is in use by one"):
        cloud.resource(VPC).delete(call("main", VPC), vpc)
    cloud.resource(SUBNET).delete(call("one", SUBNET), subnet)
    cloud.resource(VPC).delete(call("main", VPC), vpc)


def test_the_default_group_is_the_one_that_came_with_the_network(cloud: RehearsedCloud) -> None:
    vpc = make(cloud, VPC, "main", {"cidrBlock": "10.0.0.0/16"})
    group = make(cloud, "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup", "main", {"vpcId": vpc.id})
    assert group.id == vpc.outputs["defaultSecurityGroupId"]


@pytest.mark.parametrize("targets", [{}, {"gatewayId": "igw-1", "natGatewayId": "nat-1"}])
def test_a_route_leads_to_one_target(cloud: RehearsedCloud, targets: dict[str, str]) -> None:
    route = {"routeTableId": "rtb-1", "destinationCidrBlock": "0.0.0.0/0", **targets}
    assert "leads to one target" in refusals(cloud, "aws:ec2/route:Route", route)["routeTableId"]


def test_one_address_serves_one_gateway(cloud: RehearsedCloud) -> None:
    make(cloud, NAT, "one", {"subnetId": "subnet-1", "allocationId": "eipalloc-1"})
    with pytest.raises(ProviderError, match="'eipalloc-1' is taken"):
        make(cloud, NAT, "two", {"subnetId": "subnet-2", "allocationId": "eipalloc-1"})


def test_the_zones_of_a_region_are_asked_for(cloud: RehearsedCloud) -> None:
    answer = cloud.invoke(call(), "aws:index/getAvailabilityZones:getAvailabilityZones", {})
    assert answer["names"] == ["eu-central-1a", "eu-central-1b", "eu-central-1c"]
    with pytest.raises(ProviderError, match="nothing is known of the function"):
        cloud.invoke(call(), "aws:index/getBill:getBill", {})


def test_an_unknown_type_says_where_to_add_it(cloud: RehearsedCloud) -> None:
    with pytest.raises(ProviderError, match="infra/rehearsal/aws"):
        cloud.resource("aws:sqs/queue:Queue")


def test_a_provider_without_a_region_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ProviderError, match="no region"):
        rehearsed("aws", tmp_path, {}).configure({})


@pytest.mark.parametrize("planned", ["fail", "fail@", "fail@0", "melt@3", "@2"])
def test_a_fault_that_cannot_be_is_refused(tmp_path: Path, planned: str) -> None:
    with pytest.raises(ProviderError, match="such as fail@7"):
        rehearsed("aws", tmp_path, {"ISTHMUS_REHEARSAL_FAULT": planned})


def test_a_journal_goes_on_after_a_line_that_a_kill_cut_short(tmp_path: Path) -> None:
    path = tmp_path / "aws.jsonl"
    Journal(path).write(Line("create", BUCKET, "one", "urn"))
    with path.open("ab") as file:
        file.write(b'{"verb":"create","type":"aws:s3/buck')
    assert [thing.id for thing in Journal(path).things()] == ["one"]
    assert not path.read_bytes().endswith(b"\n"), "who only reads changes nothing"
    again = Journal(path)
    again.write(Line("create", BUCKET, "two", "urn"))
    assert [thing.id for thing in Journal(path).things()] == ["one", "two"]
    assert Journal(path).created("urn") == 2
