"""The network on AWS, brought up, changed and taken down by the real engine against a rehearsed control plane."""

from __future__ import annotations

import ipaddress
from collections import Counter

from tests.rehearsal.conftest import Rehearsal


def program(spec: str = "") -> str:
    return f"""
from infra.clouds.aws.network import Network, NetworkArgs
from infra.spec import NetworkSpec

provider = aws.Provider("aws", region="eu-central-1")
names = aws.get_availability_zones(opts=pulumi.InvokeOptions(provider=provider)).names
made = Network("main", NetworkArgs(NetworkSpec({spec}), "eu-central-1", names), pulumi.ResourceOptions(providers=[provider]))
pulumi.export("vpc", made.vpc_id)
pulumi.export("private", made.private_subnet_ids)
pulumi.export("public", made.public_subnet_ids)
"""


def kinds(rehearsal: Rehearsal) -> Counter[str]:
    return Counter(thing.type.rsplit(":", 1)[-1] for thing in rehearsal.cloud().things())


def test_it_comes_up_over_three_zones_stays_as_it_is_and_goes_to_nothing(rehearsal: Rehearsal) -> None:
    rehearsal.write(program())
    rehearsal.project.up()
    cloud = rehearsal.cloud()
    subnets = {thing.id: thing.inputs for thing in cloud.things() if thing.type.endswith(":Subnet")}
    outputs = rehearsal.project.outputs()
    private, public = ([subnets[one] for one in outputs[kind]] for kind in ("private", "public"))
    for side in (private, public):
        assert [one["availabilityZone"] for one in side] == [f"eu-central-1{letter}" for letter in "abc"]
    ranges = [ipaddress.ip_network(one["cidrBlock"]) for one in (*private, *public)]
    assert not any(one.overlaps(other) for one in ranges for other in ranges if one is not other)
    assert not any(one["mapPublicIpOnLaunch"] for one in subnets.values())
    assert (kinds(rehearsal)["NatGateway"], kinds(rehearsal)["RouteTable"]) == (1, 4)
    ways = [thing.inputs for thing in cloud.things() if thing.type.endswith(":Route")]
    tables = {one["routeTableId"]: "natGatewayId" in one for one in ways}
    assert Counter(tables.values()) == {True: 3, False: 1}, (
        "private subnets go out through the gateway, public ones directly"
    )
    [group] = [thing.inputs for thing in cloud.things() if thing.type.endswith(":DefaultSecurityGroup")]
    assert (group["ingress"], group["egress"]) == ([], [])
    [storage] = [thing.inputs for thing in cloud.things() if thing.type.endswith(":VpcEndpoint")]
    assert {*storage["routeTableIds"]} == {table for table, private in tables.items() if private}
    rehearsal.project.preview("--expect-no-changes")
    rehearsal.project.refresh("--expect-no-changes")
    rehearsal.project.destroy()
    assert cloud.path.exists() and rehearsal.cloud().things() == []


def test_a_gateway_a_zone_is_added_in_place_and_no_subnet_is_touched(rehearsal: Rehearsal) -> None:
    rehearsal.write(program())
    rehearsal.project.up()
    before = rehearsal.project.outputs()
    rehearsal.write(program("nat='per-zone'"))
    rehearsal.project.up()
    assert kinds(rehearsal)["NatGateway"] == 3
    assert rehearsal.project.outputs() == before


def test_a_network_without_a_way_out_has_no_gateway_to_pay_for(rehearsal: Rehearsal) -> None:
    rehearsal.write(program("nat='none', zones=2"))
    rehearsal.project.up()
    found = kinds(rehearsal)
    assert (found["NatGateway"], found["Eip"], found["Subnet"], found["VpcEndpoint"]) == (0, 0, 4, 1)


def test_another_range_is_a_replacement_and_the_preview_says_so(rehearsal: Rehearsal) -> None:
    rehearsal.write(program("zones=2, nat='none'"))
    rehearsal.project.up()
    rehearsal.write(program("zones=2, nat='none', cidr='10.1.0.0/16'"))
    assert "replace" in rehearsal.project.preview("--diff")


def test_a_region_that_does_not_exist_is_refused(rehearsal: Rehearsal) -> None:
    rehearsal.write(
        "aws.ec2.Vpc('v', opts=pulumi.ResourceOptions(provider=aws.Provider('aws', region='eu-central-9')))"
    )
    assert "aws has no region 'eu-central-9'; did you mean 'eu-" in rehearsal.project.preview(fails=True)


def test_more_zones_than_the_region_has_are_refused_before_anything_is_made(rehearsal: Rehearsal) -> None:
    rehearsal.write(program("zones=4"))
    said = rehearsal.project.up(fails=True)
    assert "platform.network.zones: 4 are wanted and eu-central-1 has eu-central-1a" in said
    assert rehearsal.cloud().things() == []
