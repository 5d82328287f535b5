"""The arguments as TypedDicts, for programs and for Pulumi's analyzer. Made by `make docs` from args.py."""

from collections.abc import Mapping, Sequence
from typing import Any, NotRequired, TypedDict

import pulumi


class ExistingVpcArgs(TypedDict):
    """A VPC that is there already."""

    vpc_id: pulumi.Input[str]
    """The VPC."""
    private_subnet_ids: pulumi.Input[Sequence[pulumi.Input[str]]]
    """Its private subnets, in two zones or more. From there the internet or the endpoints of what is called must be
    reached."""
    public_subnet_ids: NotRequired[pulumi.Input[Sequence[pulumi.Input[str]]]]
    """Its public subnets. Default: none."""
    balancer_subnet_ids: NotRequired[pulumi.Input[Sequence[pulumi.Input[str]]]]
    """Its subnets for internal balancers, in two zones or more. Give some in which nothing else is: who is in them may call
    the servers behind the balancers, past these. Default: the private ones."""


class InferenceNetworkArgs(TypedDict):
    """The arguments. What decides which resources there are is plain; the rest may be Outputs."""

    existing: NotRequired[ExistingVpcArgs]
    """A VPC that is there already, in which only the security groups are made. Default: a VPC is made."""
    cidr: NotRequired[str]
    """The VPC's addresses, a private range from /16 to /20. Another range replaces the VPC and all that is in it. Default:
    "172.16.0.0/16"."""
    zones: NotRequired[Sequence[pulumi.Input[str]]]
    """The Availability Zones by name, in an order to which you only append: each has its addresses by its place. Default:
    the first `zone_count` of the Region, by their names. Not every zone has every instance type, EKS and each endpoint."""
    zone_count: NotRequired[int]
    """How many Availability Zones. More of them later move nothing. From 2 to 6. Default: 2."""
    nat: NotRequired[str]
    """NAT gateways, by which private subnets reach the internet: "one" for all zones, which ends with its zone; "per_zone";
    or "none", where nothing is reached but S3, DynamoDB and `interface_endpoints`. Default: "one"."""
    interface_endpoints: NotRequired[Sequence[str]]
    """AWS services that are reached by endpoints in the VPC, such as "bedrock-runtime", "ecr.dkr" or "sts". Each costs some
    $7 a month and zone; the preview says from how much data on that is cheaper than NAT. S3 and DynamoDB always are, for
    free. Default: none."""
    flow_logs: NotRequired[str]
    """Which connections are logged: those that were "rejected", "all", or none with "off". All of a busy network cost more.
    Default: "rejected"."""
    log_retention_days: NotRequired[int]
    """How long logs are kept, in days; one of the numbers that CloudWatch Logs accepts. Default: 30."""
    kms_key_arn: NotRequired[pulumi.Input[str]]
    """The KMS key of the flow logs; its policy must let CloudWatch Logs use it. Default: a key of AWS."""
    service_port: NotRequired[pulumi.Input[int]]
    """The port on which the servers of models listen, behind their balancer. From 1 to 65,535. Default: 8,000."""
    deletion_protection: NotRequired[bool]
    """Protect the VPC: `pulumi destroy` refuses before it deletes anything. To destroy the stack, set it to false and run
    `pulumi up` first. Default: true."""
    customize: NotRequired[Mapping[str, Mapping[str, Any]]]
    """Per child, arguments that are merged with the component's own. Default: none."""
    parameter_prefix: NotRequired[str]
    """Where SSM parameters with the outputs are made, such as "/pulumi-llm/prod/network". Default: none are made."""
    region: NotRequired[str]
    """The Region of the component's AWS provider; another one is a mistake. Default: the provider's."""
    tags: NotRequired[Mapping[str, pulumi.Input[str]]]
    """Tags of every resource. Default: none but the component's own."""
