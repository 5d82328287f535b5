"""The page of a local run: what runs, and how to talk to it."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from html import escape
from typing import Any

from aiohttp import web

_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color-scheme:light dark}"
    "table{border-collapse:collapse}td{padding:.2rem 1rem .2rem 0;vertical-align:top}"
    "pre{overflow:auto;padding:.8rem;border:1px solid #8886;border-radius:.4rem}code{font:14px/1.4 ui-monospace,monospace}"
)


def page_handler(
    outputs: Mapping[str, Any], models: Sequence[str], not_played: Sequence[str]
) -> Callable[[web.Request], Awaitable[web.Response]]:
    """Serves the page to this machine's own browser, called by this machine's own name."""
    text = _page(outputs, models, not_played)

    async def handle(request: web.Request) -> web.Response:
        # A name that somebody else's DNS points here must not read the API key.
        if (request.url.host or "") not in ("127.0.0.1", "localhost"):
            raise web.HTTPForbidden
        return web.Response(text=text, content_type="text/html", headers={"cache-control": "no-store"})

    return handle


def _page(outputs: Mapping[str, Any], models: Sequence[str], not_played: Sequence[str]) -> str:
    """The page as HTML. It shows the API key, which is this machine's own."""
    url, key = str(outputs["api_gateway_url"]), str(outputs.get("api_key_value", ""))
    header = f" -H 'x-api-key: {key}'" if key else ""
    curl = f"curl -N {url}/chat/stream{header} -H 'content-type: application/json' -d '{{\"message\": \"Hello\"}}'"
    rows = "".join(
        f"<tr><td>{escape(name)}</td><td><code>{escape(str(value))}</code></td></tr>" for name, value in outputs.items()
    )
    missing = f"<p>Recorded, but not played here: {escape(', '.join(not_played))}.</p>" if not_played else ""
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>pulumi-llm on this machine</title><style>{_STYLE}</style>"
        f"<h1>pulumi-llm on this machine</h1><p>Models: {escape(', '.join(models))}. "
        f'The API describes itself at <a href="{escape(url)}/openapi.json">openapi.json</a>.</p>'
        f"<h2>Try it</h2><pre><code>{escape(curl)}</code></pre><h2>Stack outputs</h2><table>{rows}</table>{missing}</html>"
    )
