"""Who asks a server of this machine: its own programs and pages, or the page of somebody else in the user's browser."""

from urllib.parse import urlsplit

_NAMES = ("127.0.0.1", "localhost", "::1")


def is_loopback(host: str | None) -> bool:
    """Whether a Host header names this machine. A foreign name that leads here (DNS rebinding) does not."""
    return _named(f"//{host or ''}")


def is_foreign(origin: str | None) -> bool:
    """Whether an Origin header is of a page of elsewhere. Programs send none."""
    return origin is not None and not _named(origin)


def _named(address: str) -> bool:
    try:
        name = urlsplit(address).hostname or ""
    except ValueError:
        return False
    return name in _NAMES or name.endswith(".localhost")
