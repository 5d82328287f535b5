"""Spans as X-Ray's segment documents, for the daemon that Lambda runs in each execution environment.

A document is sent in a datagram: nothing is waited for, no permission of a network is needed, and nothing has to be switched on
in the account. Lambda has sent the segment of its function, below which these are.
https://docs.aws.amazon.com/xray/latest/devguide/xray-api-segmentdocuments.html
https://docs.aws.amazon.com/xray/latest/devguide/xray-api-sendingdata.html#xray-api-daemon
"""

import re
import socket
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from llm_gateway.tracing.spans import Span

ADDRESS: Final = "AWS_XRAY_DAEMON_ADDRESS"
_HEADER = b'{"format":"json","version":1}\n'
# "The maximum size of a segment document is 64 kB." A datagram has less room.
_MOST_BYTES = 60_000
_MOST_NAME = 200
_NOT_IN_A_NAME = re.compile(r"[^\w\s.:/%&#=+\\@-]")
_NOT_IN_A_KEY = re.compile(r"[^A-Za-z0-9_]")
# What traces are looked for by. X-Ray indexes these, at most 50 a trace; the rest is metadata.
_ANNOTATIONS: Final = (
    *("gen_ai.request.model", "gen_ai.provider.name", "target", "tenant", "request_id", "error.type"),
    *("gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens"),
)
_encode = msgspec.json.Encoder().encode


class Daemon:
    """X-Ray's daemon at ``HOST:PORT``, or ``tcp:HOST:PORT udp:HOST:PORT``. `warn` is told once that it cannot be reached."""

    def __init__(self, address: str, warn: Callable[[str], None]) -> None:
        host, _, port = _udp(address).rpartition(":")
        self._address = host.strip("[]"), int(port)
        self._socket = socket.socket(socket.AF_INET6 if ":" in self._address[0] else socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._warn = warn
        self._has_warned = False

    def add(self, spans: Sequence[Span]) -> None:
        for span in spans:
            try:
                self._socket.sendto(_HEADER + document(span), self._address)
            except OSError as error:
                if not self._has_warned:
                    self._has_warned = True
                    self._warn(f"traces: X-Ray's daemon cannot be reached: {error}")

    async def sent(self) -> None:
        """Datagrams have left when they are sent."""

    def close(self) -> None:
        self._socket.close()


def document(span: Span) -> bytes:
    """Return the subsegment of a span. One that is too large has no metadata."""
    status = span.attributes.get("http.response.status_code")
    described: dict[str, Any] = {
        "type": "subsegment",
        "name": _NOT_IN_A_NAME.sub("_", span.name)[:_MOST_NAME],
        "id": span.span_id,
        "trace_id": f"1-{span.trace_id[:8]}-{span.trace_id[8:]}",
        "parent_id": span.parent_id,
        "start_time": span.began / 1e9,
        "end_time": max(span.began, span.ended) / 1e9,
        "annotations": {_key(name): span.attributes[name] for name in _ANNOTATIONS if name in span.attributes},
        "metadata": {"default": span.attributes},
    }
    if span.kind == "client":
        described["namespace"] = "remote"
    if isinstance(status, int):
        described["http"] = {"request": {"method": span.attributes["http.request.method"]}, "response": {"status": status}}
        described |= {"throttle": True} if status == 429 else {}
        described |= {"error": True} if 400 <= status < 500 else {}
    if span.error:
        described["fault"] = True
    encoded = _encode(described)
    if len(encoded) > _MOST_BYTES:
        del described["metadata"]
        encoded = _encode(described)
    return encoded


def _key(name: str) -> str:
    return _NOT_IN_A_KEY.sub("_", name)


def _udp(address: str) -> str:
    named = dict(part.split(":", 1) for part in address.split() if part.startswith(("udp:", "tcp:")))
    return named.get("udp", address)
