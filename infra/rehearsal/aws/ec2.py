"""Networks: a VPC, its subnets and what routes between them."""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Callable, Iterator
from typing import Any

from infra.providers.values import Properties
from infra.rehearsal.journal import Thing
from infra.rehearsal.kinds import Kind, Making

VPC, SUBNET = "aws:ec2/vpc:Vpc", "aws:ec2/subnet:Subnet"
GATEWAY, NAT, ADDRESS = "aws:ec2/internetGateway:InternetGateway", "aws:ec2/natGateway:NatGateway", "aws:ec2/eip:Eip"
TABLE, ENDPOINT = "aws:ec2/routeTable:RouteTable", "aws:ec2/vpcEndpoint:VpcEndpoint"
_GUIDE = "https://docs.aws.amazon.com/vpc/latest/userguide/"
_API = "https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_"
TARGETS = frozenset({"gatewayId", "natGatewayId", "transitGatewayId", "vpcEndpointId", "networkInterfaceId"})


def zones(region: str, arguments: Properties) -> Properties:
    """`getAvailabilityZones`: three, with the letters that most regions give them. Which an account has, only it can tell."""
    names = [f"{region}{letter}" for letter in "abc"]
    return {"names": names, "zoneIds": [f"{region}-az{number}" for number in (1, 2, 3)], "id": region, "region": region}


def _known_as(prefix: str) -> Callable[[Making], str]:
    return lambda making: f"{prefix}-{making.token(17, salt=prefix)}"


def _came_with(vpc_id: str, prefix: str) -> str:
    """The id of what is made with every network, such as its default security group."""
    return f"{prefix}-{hashlib.sha256(f'{vpc_id}|{prefix}'.encode()).hexdigest()[:17]}"


def _of_vpc(prefix: str) -> Callable[[Making], str]:
    return lambda making: _came_with(_known_as("vpc")(making), prefix)


def _described(known_as: Callable[[Making], str], resource: str, **more: Callable[[Making], Any]) -> dict[str, Any]:
    """Id, ARN and tags as all of EC2 makes them, and further outputs."""

    def outputs(making: Making) -> Properties:
        account = making.account
        return {
            "arn": f"arn:aws:ec2:{account.region}:{account.id}:{resource}/{known_as(making)}",
            "ownerId": account.id,
            "tagsAll": making.inputs.get("tags", {}),
            **{name: make(making) for name, make in more.items()},
        }

    return {"identify": known_as, "outputs": outputs}


def _range(inputs: Properties) -> Iterator[tuple[str, str]]:
    cidr = inputs.get("cidrBlock")
    if not isinstance(cidr, str):
        return
    try:
        net = ipaddress.IPv4Network(cidr)
    except ValueError as error:
        yield "cidrBlock", f"is {cidr!r}: {error}"
        return
    if not 16 <= net.prefixlen <= 28:
        yield "cidrBlock", f"is {cidr}; a network or subnet is between /16 and /28"


def _in_its_network(making: Making, things: list[Thing]) -> str:
    mine = ipaddress.IPv4Network(making.inputs["cidrBlock"])
    for thing in things:
        if thing.type not in (VPC, SUBNET):
            continue
        other = ipaddress.IPv4Network(thing.inputs["cidrBlock"])
        if thing.type == VPC and thing.id == making.inputs["vpcId"] and not mine.subnet_of(other):
            return f"cidrBlock {mine} is outside of {other}, the range of {thing.id}"
        if thing.type == SUBNET and thing.inputs["vpcId"] == making.inputs["vpcId"] and mine.overlaps(other):
            return f"cidrBlock {mine} overlaps {other} of {thing.id}"
    return ""


def _one_target(inputs: Properties) -> Iterator[tuple[str, str]]:
    given = sorted(TARGETS & inputs.keys())
    if len(given) != 1:
        yield "routeTableId", f"a route leads to one target, this one to {', '.join(given) or 'none'}"


KINDS: tuple[Kind, ...] = (
    Kind(
        VPC,
        source=_GUIDE + "vpc-cidr-blocks.html",
        **_described(
            _known_as("vpc"),
            "vpc",
            defaultSecurityGroupId=_of_vpc("sg"),
            defaultRouteTableId=_of_vpc("rtb"),
            mainRouteTableId=_of_vpc("rtb"),
            defaultNetworkAclId=_of_vpc("acl"),
        ),
        checks=(_range,),
        replaces=frozenset({"cidrBlock", "instanceTenancy", "ipv4IpamPoolId"}),
        held_by={one: frozenset({"vpcId"}) for one in (SUBNET, GATEWAY, TABLE, ENDPOINT)},
        defaults={"enableDnsSupport": True, "instanceTenancy": "default"},
    ),
    Kind(
        SUBNET,
        source=_GUIDE + "subnet-sizing.html",
        **_described(_known_as("subnet"), "subnet"),
        checks=(_range,),
        clashes=_in_its_network,
        replaces=frozenset({"cidrBlock", "vpcId", "availabilityZone", "availabilityZoneId"}),
        held_by={NAT: frozenset({"subnetId"})},
    ),
    Kind(
        "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup",
        source=_GUIDE + "default-security-group.html",
        **_described(lambda making: _came_with(making.inputs["vpcId"], "sg"), "security-group"),
        replaces=frozenset({"vpcId"}),
    ),
    Kind(
        GATEWAY,
        source=_GUIDE + "VPC_Internet_Gateway.html",
        **_described(_known_as("igw"), "internet-gateway"),
        held_by={"aws:ec2/route:Route": frozenset({"gatewayId"})},
    ),
    Kind(
        ADDRESS,
        source=_API + "AllocateAddress.html",
        **_described(
            _known_as("eipalloc"),
            "elastic-ip",
            allocationId=_known_as("eipalloc"),
            # 203.0.113.0/24 is for documentation: nobody is reached under it.
            publicIp=lambda making: f"203.0.113.{int(making.token(2, salt='ip'), 16) % 254 + 1}",
        ),
        replaces=frozenset({"domain", "networkBorderGroup"}),
        held_by={NAT: frozenset({"allocationId"})},
    ),
    Kind(
        NAT,
        source=_API + "CreateNatGateway.html",
        **_described(_known_as("nat"), "natgateway"),
        replaces=frozenset({"subnetId", "allocationId", "connectivityType"}),
        unique=("allocationId",),
        held_by={"aws:ec2/route:Route": frozenset({"natGatewayId"})},
        defaults={"connectivityType": "public"},
    ),
    Kind(
        TABLE,
        source=_GUIDE + "VPC_Route_Tables.html",
        **_described(_known_as("rtb"), "route-table"),
        replaces=frozenset({"vpcId"}),
        held_by={"aws:ec2/routeTableAssociation:RouteTableAssociation": frozenset({"routeTableId"})},
    ),
    Kind(
        "aws:ec2/routeTableAssociation:RouteTableAssociation",
        source=_API + "AssociateRouteTable.html",
        identify=_known_as("rtbassoc"),
        replaces=frozenset({"subnetId", "gatewayId"}),
        unique=("subnetId",),
    ),
    Kind(
        "aws:ec2/route:Route",
        source=_API + "CreateRoute.html",
        identify=_known_as("r"),
        outputs=lambda making: {"state": "active", "origin": "CreateRoute"},
        checks=(_one_target,),
        unique=("routeTableId", "destinationCidrBlock"),
        replaces=frozenset({"routeTableId", "destinationCidrBlock", "destinationIpv6CidrBlock"}),
    ),
    Kind(
        ENDPOINT,
        source=_API + "CreateVpcEndpoint.html",
        **_described(_known_as("vpce"), "vpc-endpoint", state=lambda making: "available"),
        replaces=frozenset({"vpcId", "serviceName", "vpcEndpointType"}),
        defaults={"vpcEndpointType": "Gateway"},
    ),
)
