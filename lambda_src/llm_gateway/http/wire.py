"""Parsed URLs and the head of a request, as the HTTP client writes it."""

import re
from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import urlsplit


class Origin(NamedTuple):
    tls: bool
    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.tls else 'http'}://{host}:{self.port}"


class ParsedUrl(NamedTuple):
    """A URL in the parts that a request needs."""

    origin: Origin
    path: str  # with the query, as in the request line
    host: str  # the value of the Host header


def parse_url(url: str) -> ParsedUrl:
    """Parse a URL. Raises `ValueError`. `urlsplit` silently drops line ends, so they are checked first."""
    if _NOT_IN_A_URL.search(url):
        raise ValueError("url: it has a space, a control character or a character outside ASCII; percent-encode it")
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("url: it must start with http:// or https:// and a host")
    if "@" in parts.netloc:
        raise ValueError("url: it carries a user name or a password; send them as a header")
    tls = parts.scheme == "https"
    default_port = 443 if tls else 80
    origin = Origin(tls, parts.hostname, default_port if parts.port is None else parts.port)
    host = f"[{origin.host}]" if ":" in origin.host else origin.host
    path = parts.path or "/"
    if parts.query:
        path = f"{path}?{parts.query}"
    return ParsedUrl(origin, path, host if origin.port == default_port else f"{host}:{origin.port}")


_NOT_IN_A_URL = re.compile(r"[^\x21-\x7e]")


def request_head(method: str, url: ParsedUrl, headers: Sequence[tuple[str, str]], body: bytes) -> bytes:
    """Return the request line and the header section. Raises `ValueError` for what must not be sent.

    A line end within a header is found by counting the line ends of the whole text.
    """
    lines = [f"{method} {url.path} HTTP/1.1"]
    host = length = False
    for name, value in headers:
        key = name.lower()
        if key == "host":
            host = True
        elif key == "content-length":
            length = True
            if value != str(len(body)):
                raise ValueError(f"content-length: it differs from the body's {len(body):,} bytes")
        elif key == "transfer-encoding":
            raise ValueError("transfer-encoding: the body is sent with a content-length; leave the header out")
        lines.append(f"{name}: {value}")
    if not host:
        lines.append(f"host: {url.host}")
    if not length and (body or method not in ("GET", "HEAD", "DELETE", "OPTIONS")):
        lines.append(f"content-length: {len(body)}")
    ends = len(lines) + 1
    lines.append("\r\n")
    text = "\r\n".join(lines)
    if text.count("\r") != ends or text.count("\n") != ends or "\0" in text:
        raise ValueError("the method or a header has a line end or a NUL in it; leave it out")
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        raise ValueError("a header has a character outside Latin-1; encode its value") from None
