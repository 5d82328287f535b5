"""The built web client: the files of a page, and what whoever serves them has to say with them.

The wheel carries it; in a checkout `make frontend` builds it. PULUMI_LLM_WEB_CLIENT names the folder of another one.
"""

import json
import os
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

REFERRER_POLICY = "no-referrer"
FOLDER_VARIABLE = "PULUMI_LLM_WEB_CLIENT"

# The same on every machine, whatever types it knows.
_CONTENT_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".ico": "image/x-icon",
    ".jpg": "image/jpeg",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".map": "application/json",
    ".mjs": "text/javascript; charset=utf-8",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".wasm": "application/wasm",
    ".webmanifest": "application/manifest+json",
    ".webp": "image/webp",
    ".woff2": "font/woff2",
}
_IN_WHEEL = Path(__file__).with_name("web_client_files")
_IN_CHECKOUT = Path(__file__).parents[3] / "frontend" / "dist"


class WebClientError(Exception):
    """There is no built web client; the text says how to get it."""


def files(folder: str | None = None) -> dict[str, Path]:
    """Return the files of the built page by their path in it, such as ``index.html``.

    Hidden files and folders are left out, such as .env and .git, except .well-known (RFC 8615).

    Args:
        folder: Where a page of one's own is built. Default: the package's.

    Raises:
        WebClientError: There is no page, or a link in it leads to something else on this machine.
    """
    given = folder or os.environ.get(FOLDER_VARIABLE)
    root = Path(given) if given else _IN_WHEEL if _IN_WHEEL.exists() else _IN_CHECKOUT
    if not (root / "index.html").is_file():
        if given:
            raise WebClientError(f"there is no built page in {given}: it has no index.html")
        raise WebClientError("the web client is not built: run 'make frontend', which needs Node.js 20.19 or later")
    found = {path.relative_to(root): path for path in sorted(root.rglob("*"))}
    shown = {path: file for path, file in found.items() if not _is_hidden(path)}
    outside = [path.as_posix() for path, file in shown.items() if not file.resolve().is_relative_to(root.resolve())]
    if outside:
        raise WebClientError(f"these links lead out of {root}: {', '.join(outside)}; copy what is to be published into it")
    return {path.as_posix(): file for path, file in shown.items() if file.is_file()}


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") and part != ".well-known" for part in path.parts)


def is_hashed(path: str) -> bool:
    """Tell whether a file's name has a hash of its content."""
    return path.startswith(f"{HASHED_FOLDER}/")


def cache_control(path: str) -> str:
    """Return the header of a file: a hashed name is kept for good, anything else is asked for anew."""
    return "public, max-age=31536000, immutable" if is_hashed(path) else "no-cache"


def content_type(path: str) -> str:
    """Return the media type of a file by its name."""
    return _CONTENT_TYPES.get(Path(path).suffix, "application/octet-stream")


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
