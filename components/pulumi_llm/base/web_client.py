"""The built web client: the files of a page, and what whoever serves them has to say with them.

The wheel carries it; in a checkout `make frontend` builds it.
"""

import json
from collections.abc import Mapping
from pathlib import Path

# Beside index.html; written by whoever serves the page, because it holds the environment's addresses.
CONFIG_FILE = "config.json"
# Files in this folder have a hash of their content in their names, so that they never change.
HASHED_FOLDER = "assets"
# The page needs nothing from elsewhere. It renders a model's Markdown, which a library sanitizes; no other code may make HTML.
CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types dompurify",
    )
)

_IN_WHEEL = Path(__file__).with_name("web_client_files")
_IN_CHECKOUT = Path(__file__).parents[3] / "frontend" / "dist"


class WebClientError(Exception):
    """There is no built web client; the text says how to get it."""


def files() -> dict[str, Path]:
    """Return the files of the built page by their path in it, such as ``index.html``. Raises `WebClientError`."""
    folder = _IN_WHEEL if _IN_WHEEL.exists() else _IN_CHECKOUT
    if not (folder / "index.html").exists():
        raise WebClientError("the web client is not built: run 'make frontend', which needs Node.js 20.19 or later")
    return {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}


def cache_control(path: str) -> str:
    """Return the header of a file: a hashed name is kept for good, anything else is asked for anew."""
    return "public, max-age=31536000, immutable" if path.startswith(f"{HASHED_FOLDER}/") else "no-cache"


def config(
    rest_url: str,
    *,
    stream_url: str = "",
    websocket_url: str = "",
    stream_body_hash: bool = False,
    more: Mapping[str, str] | None = None,
) -> bytes:
    """Return the page's runtime configuration, the content of `CONFIG_FILE`. Addresses may be relative to the page.

    Args:
        rest_url: The REST API, without a slash at the end.
        stream_url: Where a POST is answered with Server-Sent Events. Default: the REST API's own.
        websocket_url: The WebSocket API, if there is one.
        stream_body_hash: Whether a stream's request must have the header x-amz-content-sha256.
        more: What only the local run gives: `api_key` and `status_url`.
    """
    given = {"rest_url": rest_url, "stream_url": stream_url, "websocket_url": websocket_url, **(more or {})}
    document = {name: value for name, value in given.items() if value}
    return json.dumps(document | ({"stream_body_hash": True} if stream_body_hash else {}), indent=2).encode() + b"\n"
