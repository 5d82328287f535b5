"""The plan of a VPC's addresses: each zone has its ranges by its number, so that another zone moves nothing."""

from collections.abc import Sequence
from ipaddress import IPv4Network
from typing import Final, NamedTuple

MOST_ZONES: Final = 6

# A private subnet takes an eighth of the VPC, for pods have addresses of their own; a public one 64th, for NAT gateways and
# balancers. Six eighths are for private subnets, the seventh for public ones, and the last eighth is free.
_PRIVATE_BITS: Final = 3
_PUBLIC_BITS: Final = 6
_FIRST_PUBLIC: Final = 6 * 2 ** (_PUBLIC_BITS - _PRIVATE_BITS)

# AWS takes a VPC of /16 to /28. With less than /20 a public subnet would have fewer than 64 addresses.
# https://docs.aws.amazon.com/vpc/latest/userguide/vpc-cidr-blocks.html
LONGEST_PREFIX: Final = 20
SHORTEST_PREFIX: Final = 16


class ZoneRanges(NamedTuple):
    """The ranges of one zone."""

    private: str
    public: str


def zone_ranges(cidr: str, zones: int) -> Sequence[ZoneRanges]:
    """Return the ranges of the first `zones` zones of a VPC."""
    network = IPv4Network(cidr)
    private = list(network.subnets(_PRIVATE_BITS))
    public = list(network.subnets(_PUBLIC_BITS))[_FIRST_PUBLIC:]
    return [ZoneRanges(str(private[number]), str(public[number])) for number in range(zones)]
