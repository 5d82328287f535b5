"""Where a component's resources are: the Region and the partition of the AWS provider that makes them."""

import os
from collections.abc import Mapping
from typing import NamedTuple

import pulumi
from pulumi_aws import get_partition, get_region

# The Region that is supposed where nothing tells it. That happens only where nothing is deployed: with a unit test's mocks,
# and at a preview with a provider whose own configuration is not known yet.
DEFAULT_REGION = "us-east-1"


class Location(NamedTuple):
    """A Region, such as us-gov-west-1, and the partition it is in, such as aws-us-gov."""

    region: str
    partition: str

    @classmethod
    def of(cls, region: str) -> "Location":
        """The location of a Region by its name alone."""
        return cls(region, next((name for start, name in _PARTITIONS.items() if region.startswith(start)), "aws"))


# https://github.com/boto/botocore/blob/develop/botocore/data/partitions.json
_PARTITIONS = {
    "cn-": "aws-cn",
    "us-gov-": "aws-us-gov",
    "us-iso-": "aws-iso",
    "us-isob-": "aws-iso-b",
    "eu-isoe-": "aws-iso-e",
    "us-isof-": "aws-iso-f",
    "eusc-": "aws-eusc",
}


def locate(component: str, opts: pulumi.ResourceOptions | None, region: str | None = None) -> Location:
    """Ask the AWS provider that a component with these options gives its children where it is.

    The provider answers without a call of AWS, so that the answer is a plain value, at preview as well. It gives none where its
    own configuration is not known yet, and none under mocks that answer no function: then the Region is `region`, aws:region,
    AWS_REGION or `DEFAULT_REGION`.

    Args:
        component: The component's name, for a warning.
        opts: The component's options.
        region: The Region that the component's arguments name.
    """
    options = pulumi.InvokeOptions(provider=_provider(opts))
    found: str | None = get_region(opts=options).region
    if found:
        partition: str | None = get_partition(opts=options).partition
        return Location(found, partition or Location.of(found).partition)
    supposed = region or pulumi.Config("aws").get("region") or os.environ.get("AWS_REGION") or DEFAULT_REGION
    if pulumi.runtime.is_dry_run() and not region:
        pulumi.log.warn(f"{component}: the Region of its AWS provider is not known yet; this preview supposes {supposed}")
    return Location.of(supposed)


def _provider(opts: pulumi.ResourceOptions | None) -> pulumi.ProviderResource | None:
    """The AWS provider that Pulumi's constructor will choose for the children; None: the default one."""
    if opts is None:
        return None
    given = opts.providers or {}
    providers = given if isinstance(given, Mapping) else {provider.package: provider for provider in given}
    if "aws" in providers:
        return providers["aws"]
    if opts.provider is not None and opts.provider.package == "aws":
        return opts.provider
    return opts.parent.get_provider("aws:index/getRegion:getRegion") if opts.parent is not None else None
