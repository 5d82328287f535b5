"""The addresses of a host that somebody else names: only those that anyone on the internet could reach.

A name may lead to an address of the machine or of the network that the caller is in (server-side request forgery):
https://cheatsheetseries.owasp.org/cheatsheets/Server_Side_Request_Forgery_Prevention_Cheat_Sheet.html
It is looked up once, and what was checked is what is connected to.
"""

import asyncio
import ipaddress
import socket
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from llm_gateway.http.errors import ConnectError

# More than the hosts of a stack's webhooks. A thread begins with the look-up that needs it.
_MOST_HOSTS = 16
_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class PublicAddresses:
    """Looks hosts up for a client, each in one thread at most.

    A look-up that its caller has given up goes on until the resolver does. In the loop's own threads, of which there are few,
    those of one host would hold up everybody's. So these have their own, and who asks for a host again gets the same look-up.
    """

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_MOST_HOSTS, thread_name_prefix="look-up")
        self._under_way: dict[tuple[str, int], asyncio.Future[Any]] = {}

    async def address(self, host: str, port: int) -> str:
        """Return an address of the host. Raises `ConnectError` if one of them is not public, and `OSError` if there is none."""
        found = self._under_way.get((host, port))
        if found is None:
            loop = asyncio.get_running_loop()
            found = loop.run_in_executor(self._threads, partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM))
            self._under_way[host, port] = found
            found.add_done_callback(lambda done: self._ended(host, port, done))
        addresses = [ipaddress.ip_address(str(place[0]).partition("%")[0]) for *_, place in await asyncio.shield(found)]
        if not all(map(is_public, addresses)):
            raise ConnectError(f"{host}: it has an address that is not public")
        # A function outside of a VPC reaches no other version.
        return str(next((each for each in addresses if each.version == 4), addresses[0]))

    def _ended(self, host: str, port: int, done: "asyncio.Future[Any]") -> None:
        del self._under_way[host, port]
        if not done.cancelled():
            done.exception()  # perhaps nobody waits for it any more


def is_public(address: _Address) -> bool:
    """Tell whether an address is reached over the internet, and by one receiver."""
    if isinstance(address, ipaddress.IPv6Address):
        # An IPv4 address within an IPv6 one, as a gateway would translate it.
        # https://www.rfc-editor.org/rfc/rfc6052.html#section-2.1
        within = address.ipv4_mapped or address.sixtofour
        if within is None and address in _NAT64:
            within = ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
        if within is not None:
            return is_public(within)
    return address.is_global and not address.is_multicast


_NAT64 = ipaddress.ip_network("64:ff9b::/96")
