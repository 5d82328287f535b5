"""The page of a local run: what runs, and how to talk to it."""

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from html import escape
from typing import Any

from aiohttp import web

from pulumi_llm_local.run.running_api import RunningApi

_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color-scheme:light dark}"
    "table{border-collapse:collapse}td,th{text-align:left;padding:.2rem 1rem .2rem 0;vertical-align:top}"
    "pre{overflow:auto;padding:.8rem;border:1px solid #8886;border-radius:.4rem}code{font:14px/1.4 ui-monospace,monospace}"
)


def page_handler(
    apis: Sequence[RunningApi], outputs: Mapping[str, Any], not_played: Sequence[str]
) -> Callable[[web.Request], Awaitable[web.Response]]:
    """Serves the page to this machine's own browser, called by this machine's own name."""
    text = _page(apis, outputs, not_played)

    async def handle(request: web.Request) -> web.Response:
        # A name that somebody else's DNS points here must not read the API key.
        if (request.url.host or "") not in ("127.0.0.1", "localhost"):
            raise web.HTTPForbidden
        return web.Response(text=text, content_type="text/html", headers={"cache-control": "no-store"})

    return handle


def _page(apis: Sequence[RunningApi], outputs: Mapping[str, Any], not_played: Sequence[str]) -> str:
    """The page as HTML. It shows the API keys, which are this machine's own."""
    rows = "".join(map(_row, outputs.items()))
    missing = f"<p>Recorded, but not played here: {escape(', '.join(not_played))}.</p>" if not_played else ""
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>pulumi-llm on this machine</title><style>{_STYLE}</style><main><h1>pulumi-llm on this machine</h1>"
        f"{''.join(map(_section, apis))}<h2>Stack outputs</h2><table>{rows}</table>{missing}</main></html>"
    )


def _row(output: tuple[str, Any]) -> str:
    name, value = output
    text = value if isinstance(value, str) else json.dumps(value)
    return f"<tr><th scope=row>{escape(name)}</th><td><code>{escape(text)}</code></td></tr>"


def _section(api: RunningApi) -> str:
    return (
        f"<h2>{escape(api.url)}</h2><p>Models: {escape(', '.join(api.models))}. "
        f'The API describes itself at <a href="{escape(api.url)}/openapi.json">openapi.json</a>. Try it:</p>'
        f'<pre tabindex="0"><code>{escape(api.curl())}</code></pre>'
    )
