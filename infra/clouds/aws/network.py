"""The network on AWS: a VPC over several zones, where only gateways face out and storage is reached without leaving it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pulumi
import pulumi_aws as aws

from infra import layout
from infra.spec import NetworkSpec, SpecError

ANYWHERE = "0.0.0.0/0"


@dataclass(frozen=True)
class NetworkArgs:
    """`zone_names` are the region's, as many as the spec wants or more; the first are taken."""

    spec: NetworkSpec
    region: str
    zone_names: list[str]
    tags: Mapping[str, str] = field(default_factory=dict)


class Network(pulumi.ComponentResource):
    """`private_subnet_ids` and `public_subnet_ids` are in the order of the zones."""

    vpc_id: pulumi.Output[str]
    private_subnet_ids: pulumi.Output[list[str]]
    public_subnet_ids: pulumi.Output[list[str]]

    def __init__(self, name: str, args: NetworkArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("isthmus:aws:Network", name, {}, opts)
        self._args, self._mine = args, pulumi.ResourceOptions(parent=self)
        if len(args.zone_names) < args.spec.zones:
            there = ", ".join(args.zone_names)
            raise SpecError(f"{args.spec.zones} are wanted and {args.region} has {there}", place="network.zones")
        self._vpc = aws.ec2.Vpc(
            name,
            cidr_block=args.spec.cidr,
            enable_dns_support=True,
            enable_dns_hostnames=True,  # private endpoints are found by name
            tags=self._tags(name),
            opts=self._mine,
        )
        # The group that comes with every VPC lets its members talk to each other and out; emptied, nobody relies on it.
        aws.ec2.DefaultSecurityGroup(name, vpc_id=self._vpc.id, ingress=[], egress=[], opts=self._mine)
        gateway = aws.ec2.InternetGateway(name, vpc_id=self._vpc.id, tags=self._tags(name), opts=self._mine)
        zones = layout.zones(args.spec.cidr, args.spec.zones)
        public = [self._subnet(name, zone, "public") for zone in zones]
        private = [self._subnet(name, zone, "private") for zone in zones]
        out = self._routes(f"{name}-public", public)
        aws.ec2.Route(
            f"{name}-public",
            route_table_id=out.id,
            destination_cidr_block=ANYWHERE,
            gateway_id=gateway.id,
            opts=self._mine,
        )
        tables = [
            self._routes(f"{name}-private-{zone.number}", [one]) for zone, one in zip(zones, private, strict=True)
        ]
        self._nat(name, public, tables, gateway)
        aws.ec2.VpcEndpoint(
            f"{name}-s3",
            vpc_id=self._vpc.id,
            service_name=f"com.amazonaws.{args.region}.s3",
            vpc_endpoint_type="Gateway",  # free, and models and data do not go through a NAT gateway that bills by the byte
            route_table_ids=[table.id for table in tables],
            tags=self._tags(f"{name}-s3"),
            opts=self._mine,
        )
        self.vpc_id = self._vpc.id
        self.private_subnet_ids = pulumi.Output.all(*[one.id for one in private])
        self.public_subnet_ids = pulumi.Output.all(*[one.id for one in public])
        self.register_outputs(
            {
                "vpc_id": self.vpc_id,
                "private_subnet_ids": self.private_subnet_ids,
                "public_subnet_ids": self.public_subnet_ids,
            }
        )

    def _tags(self, name: str) -> dict[str, str]:
        return {"Name": name, **self._args.tags}

    def _subnet(self, name: str, zone: layout.Zone, kind: str) -> aws.ec2.Subnet:
        whole = f"{name}-{kind}-{zone.number}"
        return aws.ec2.Subnet(
            whole,
            vpc_id=self._vpc.id,
            cidr_block=zone.public if kind == "public" else zone.private,
            availability_zone=self._args.zone_names[zone.number],
            map_public_ip_on_launch=False,  # what faces out is given an address on purpose
            # Where the load balancers that Kubernetes asks for go.
            tags={**self._tags(whole), f"kubernetes.io/role/{'elb' if kind == 'public' else 'internal-elb'}": "1"},
            opts=self._mine,
        )

    def _routes(self, name: str, subnets: list[aws.ec2.Subnet]) -> aws.ec2.RouteTable:
        table = aws.ec2.RouteTable(name, vpc_id=self._vpc.id, tags=self._tags(name), opts=self._mine)
        for number, subnet in enumerate(subnets):
            aws.ec2.RouteTableAssociation(
                f"{name}-{number}", route_table_id=table.id, subnet_id=subnet.id, opts=self._mine
            )
        return table

    def _nat(
        self,
        name: str,
        public: list[aws.ec2.Subnet],
        tables: list[aws.ec2.RouteTable],
        gateway: aws.ec2.InternetGateway,
    ) -> None:
        """The way out of the private subnets, in the mode of the spec."""
        count = {"none": 0, "single": 1, "per-zone": len(tables)}[self._args.spec.nat]
        gateways = []
        for number in range(count):
            whole = f"{name}-nat-{number}"
            address = aws.ec2.Eip(whole, domain="vpc", tags=self._tags(whole), opts=self._mine)
            nat = aws.ec2.NatGateway(
                whole,
                allocation_id=address.id,
                subnet_id=public[number].id,
                tags=self._tags(whole),
                opts=pulumi.ResourceOptions.merge(self._mine, pulumi.ResourceOptions(depends_on=[gateway])),
            )
            gateways.append(nat)
        for number, table in enumerate(tables[: len(tables) if gateways else 0]):
            aws.ec2.Route(
                f"{name}-private-{number}",
                route_table_id=table.id,
                destination_cidr_block=ANYWHERE,
                nat_gateway_id=gateways[min(number, count - 1)].id,
                opts=self._mine,
            )
