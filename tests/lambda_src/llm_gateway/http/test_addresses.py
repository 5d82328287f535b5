"""The addresses that a client connects to where somebody else has named the host."""

import asyncio
import socket
import threading
from collections import Counter
from ipaddress import ip_address
from typing import Any
from unittest import mock

import pytest

from llm_gateway.http.addresses import PublicAddresses, is_public
from llm_gateway.http.client import ConnectError, HttpClient
from support.http_server import fetch


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.215.14", True),
        ("2606:2800:21f:cb07:6820:80da:af6b:8b2c", True),
        ("127.0.0.1", False),
        ("10.0.0.1", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("100.64.0.1", False),
        ("169.254.169.254", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("::1", False),
        ("::", False),
        ("fe80::1", False),
        ("fd00:ec2::254", False),
        ("ff02::1", False),
        ("::ffff:127.0.0.1", False),
        ("::ffff:93.184.215.14", True),
        ("2002:7f00:1::", False),
        ("64:ff9b::a9fe:a9fe", False),
        ("64:ff9b::5db8:d70e", True),
    ],
)
def test_which_addresses_are_public(address: str, public: bool) -> None:
    assert is_public(ip_address(address)) is public


def looked_up(*addresses: str) -> Any:
    def lookup(_host: str, port: int, **_: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, port)) for each in addresses]

    return mock.patch.object(socket, "getaddrinfo", lookup)


@pytest.mark.parametrize("addresses", [["127.0.0.1"], ["93.184.215.14", "10.0.0.1"]])
async def test_a_host_with_an_address_that_is_not_public_is_not_connected_to(addresses: list[str]) -> None:
    async with HttpClient(public_only=True) as client:
        with (
            looked_up(*addresses),
            mock.patch.object(asyncio.get_running_loop(), "create_connection") as connect,
            pytest.raises(ConnectError, match="not public"),
        ):
            await fetch(client, "https://receiver.example.com/")
    connect.assert_not_called()


async def test_what_was_checked_is_connected_to_and_the_certificate_is_of_the_name() -> None:
    async with HttpClient(public_only=True) as client:
        with (
            looked_up("2606:2800:21f:cb07:6820:80da:af6b:8b2c", "93.184.215.14"),
            mock.patch.object(asyncio.get_running_loop(), "create_connection", side_effect=OSError("away")) as connect,
            pytest.raises(ConnectError, match="away"),
        ):
            await fetch(client, "https://receiver.example.com/")
    assert connect.call_args.args[1:] == ("93.184.215.14", 443)
    assert connect.call_args.kwargs["server_hostname"] == "receiver.example.com"


async def test_a_host_whose_name_server_does_not_answer_holds_up_no_other_one() -> None:
    """Its look-ups are given up, their threads are not: there is one of them, and none of the loop's."""
    answers, asked = threading.Event(), Counter[str]()

    def lookup(host: str, port: int, **_: Any) -> list[Any]:
        asked[host] += 1
        if host == "slow.example.com":
            answers.wait()
            raise OSError("no name server answers")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("93.184.215.14", port))]

    addresses, loop = PublicAddresses(), asyncio.get_running_loop()
    with mock.patch.object(socket, "getaddrinfo", lookup):
        slow = [asyncio.ensure_future(addresses.address("slow.example.com", 443)) for _ in range(40)]
        await asyncio.sleep(0)
        slow[0].cancel()
        assert await addresses.address("fast.example.com", 443) == "93.184.215.14"
        assert await loop.run_in_executor(None, lambda: "free") == "free"
        assert not any(each.done() for each in slow[1:]) and asked["slow.example.com"] == 1
        answers.set()
        failed = await asyncio.gather(*slow, return_exceptions=True)
        assert [type(each) for each in failed] == [asyncio.CancelledError, *[OSError] * 39]
        with pytest.raises(OSError, match="no name server"):
            await addresses.address("slow.example.com", 443)  # it is asked again
    assert asked["slow.example.com"] == 2
