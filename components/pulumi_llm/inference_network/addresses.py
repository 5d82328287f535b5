"""The plan of a VPC's addresses: each zone has its ranges by its number, so that another zone moves nothing."""

from collections.abc import Sequence
from ipaddress import IPv4Network
from typing import Final, NamedTuple

MOST_ZONES: Final = 6

# A private subnet takes an eighth of the VPC, for pods have addresses of their own. A public one takes a 64th, for NATs,
# and one for balancers, too. Six eighths are for private subnets, the seventh for public ones, and the last for balancers.
_PRIVATE_BITS: Final = 3
_PUBLIC_BITS: Final = 6
_FIRST_PUBLIC: Final = 6 * 2 ** (_PUBLIC_BITS - _PRIVATE_BITS)
_FIRST_BALANCER: Final = 7 * 2 ** (_PUBLIC_BITS - _PRIVATE_BITS)

# AWS takes a VPC of /16 to /28. With less than /20 a public subnet would have fewer than 64 addresses.
# https://docs.aws.amazon.com/vpc/latest/userguide/vpc-cidr-blocks.html
LONGEST_PREFIX: Final = 20
SHORTEST_PREFIX: Final = 16


class ZoneRanges(NamedTuple):
    """The ranges of one zone."""

    private: str
    public: str
    balancer: str


def zone_ranges(cidr: str, zones: int) -> Sequence[ZoneRanges]:
    """Return the ranges of the first `zones` zones of a VPC."""
    network = IPv4Network(cidr)
    private = list(network.subnets(_PRIVATE_BITS))
    small = list(network.subnets(_PUBLIC_BITS))
    public, balancer = small[_FIRST_PUBLIC:], small[_FIRST_BALANCER:]
    return [ZoneRanges(str(private[number]), str(public[number]), str(balancer[number])) for number in range(zones)]
