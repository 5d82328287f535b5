"""Requests a second: the gateway's HTTP client against aiohttp's. The upstream is a separate process on loopback.

    python bench/http_client.py

Each round runs both clients in turn, so that a busy machine slows both. The figures are medians over the rounds. A request is
a POST of 600 bytes, and its answer has 700 bytes. The script ends by itself after about 20 seconds.
"""

import asyncio
import datetime
import ipaddress
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from llm_gateway.http.client import HttpClient

ROUNDS = 5
SECONDS = 0.4  # a measurement
CASES = [("http", 1), ("http", 64), ("https", 1), ("https", 64)]

BODY = b'{"model":"m","messages":[{"role":"user","content":"' + b"x" * 540 + b'"}]}'
HEADERS = [("authorization", "Bearer secret"), ("content-type", "application/json"), ("accept", "application/json")]
ANSWER = b'{"choices":[{"message":{"role":"assistant","content":"' + b"y" * 640 + b'"}}]}'
RESPONSE = (
    b"HTTP/1.1 200 OK\r\ndate: Thu, 01 Jan 2026 00:00:00 GMT\r\nserver: bench\r\ncontent-type: application/json\r\n"
    b"content-length: %d\r\n\r\n%b" % (len(ANSWER), ANSWER)
)

Call = Callable[[], Awaitable[bytes]]


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        certificate = make_certificate(Path(folder))
        upstream = subprocess.Popen([sys.executable, __file__, "serve", str(certificate)], stdout=subprocess.PIPE)
        try:
            assert upstream.stdout is not None
            ports = dict(zip(("http", "https"), map(int, upstream.stdout.readline().split()), strict=True))
            asyncio.run(compare(ports, certificate))
        finally:
            upstream.kill()
            upstream.wait()


async def compare(ports: dict[str, int], certificate: Path) -> None:
    context = ssl.create_default_context(cafile=str(certificate))
    print(f"{'':6} {'at once':>7} {'llm_gateway/s':>14} {'aiohttp/s':>10} {'ratio':>6}   ({ROUNDS} rounds, medians)")
    async with (
        HttpClient(ssl_context=context) as client,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0, ssl=context)) as session,
    ):
        for scheme, concurrency in CASES:
            url = f"{scheme}://127.0.0.1:{ports[scheme]}/v1/chat/completions"

            async def ours(url: str = url) -> bytes:
                response = await client.send("POST", url, HEADERS, BODY, response_timeout=30, read_timeout=30)
                return await response.read()

            async def theirs(url: str = url) -> bytes:
                async with session.post(url, headers=HEADERS, data=BODY) as response:
                    return await response.read()

            rates: tuple[list[float], list[float]] = ([], [])
            for number in range(ROUNDS + 1):
                for call, results in zip((ours, theirs), rates, strict=True):
                    rate = await measure(call, concurrency, SECONDS if number else SECONDS / 4)
                    if number:  # the first round makes the connections
                        results.append(rate)
            first, second = map(statistics.median, rates)
            print(f"{scheme:6} {concurrency:7} {first:14,.0f} {second:10,.0f} {first / second:6.2f}")


async def measure(call: Call, concurrency: int, seconds: float) -> float:
    """Requests a second."""
    done = 0
    start = time.perf_counter()
    end = start + seconds

    async def worker() -> None:
        nonlocal done
        while time.perf_counter() < end:
            assert await call() == ANSWER
            done += 1

    await asyncio.gather(*(worker() for _ in range(concurrency)))
    return done / (time.perf_counter() - start)


class Upstream(asyncio.Protocol):
    """Answers as fast as asyncio can. It looks for the end of the fixed body and parses nothing."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.end = b""

    def data_received(self, data: bytes) -> None:
        self.end = (self.end + data)[-4:]
        if self.end == BODY[-4:]:
            self.transport.write(RESPONSE)  # type: ignore[attr-defined]


async def serve(certificate: Path) -> None:
    loop = asyncio.get_running_loop()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    plain = await loop.create_server(Upstream, "127.0.0.1", 0, backlog=256)
    secure = await loop.create_server(Upstream, "127.0.0.1", 0, backlog=256, ssl=context)
    print(*(server.sockets[0].getsockname()[1] for server in (plain, secure)), flush=True)
    await asyncio.sleep(60)  # ends too if its parent has died


def make_certificate(folder: Path) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "bench")])
    now = datetime.datetime.now(datetime.UTC)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "bench.pem"
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    return path


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        asyncio.run(serve(Path(sys.argv[2])))
    else:
        main()
