"""The pages of a local run: the web client, and what runs here."""

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from html import escape
from typing import Any

from aiohttp import web

from pulumi_llm.base import web_client
from pulumi_llm.base.web_client import WebClientError
from pulumi_llm_local.run.running_api import RunningApi, RunningWebSocketApi
from pulumi_llm_local.services.step_functions.state_machine import ExecutionRecord, StateMachine

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

STATUS_PATH = "/status"
_STYLE_PATH = "/status.css"
_NO_REST_API = "The web client needs a REST API, and this program has none."
_STYLE = """\
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color-scheme: light dark }
table { border-collapse: collapse }
td, th { text-align: left; padding: 0.2rem 1rem 0.2rem 0; vertical-align: top }
pre { overflow: auto; padding: 0.8rem; border: 1px solid #8886; border-radius: 0.4rem }
code { font: 14px/1.4 ui-monospace, monospace }
"""


def with_pages(
    api: Handler,
    apis: Sequence[RunningApi],
    websockets: Sequence[RunningWebSocketApi],
    websocket_path: str,
    outputs: Mapping[str, Any],
    not_played: Sequence[str],
    machines: Sequence[StateMachine] = (),
) -> Handler:
    """Serve the pages to this machine's own browser, and everything else by `api`.

    Page and APIs so have one address, as behind a CDN. A path that is no file of the page is the APIs', errors included.
    `websocket_path` is where the WebSocket API answers at this address; empty where none does.
    """
    files: dict[str, tuple[str, bytes, str]] = {}
    try:
        built = web_client.files()
        note = ""
    except WebClientError as error:
        built, note = {}, str(error)
    for path, file in built.items():
        files[f"/{path}"] = (web_client.content_type(path), file.read_bytes(), web_client.cache_control(path))
    sections = "".join([*map(_section, apis), *map(_websocket_section, websockets)])

    def status() -> bytes:
        """The page as it is now: executions come and end."""
        told = sections + "".join(map(_machine_section, machines))
        return _status(told, outputs, not_played, note if apis else _NO_REST_API).encode()

    files[STATUS_PATH] = ("text/html; charset=utf-8", b"", "no-store")
    files[_STYLE_PATH] = ("text/css; charset=utf-8", _STYLE.encode(), "no-cache")
    files["/"] = files[STATUS_PATH]
    if apis:  # the client asks the first one
        files[f"/{web_client.CONFIG_FILE}"] = ("application/json", _config(apis[0], websocket_path), "no-store")
        files["/"] = files.get("/index.html", files[STATUS_PATH])

    async def handle(request: web.Request) -> web.StreamResponse:
        # A name that somebody else's DNS points here must not read the API key.
        if request.path not in files or request.method not in ("GET", "HEAD") or not _local(request):
            return await api(request)
        content_type, body, cache_control = found = files[request.path]
        if found is files[STATUS_PATH]:
            body = status()
        headers = {
            "cache-control": cache_control,
            "content-type": content_type,
            "content-security-policy": web_client.CONTENT_SECURITY_POLICY,
            "referrer-policy": web_client.REFERRER_POLICY,
            "x-content-type-options": "nosniff",
        }
        return web.Response(body=body, headers=headers)

    return handle


def _local(request: web.Request) -> bool:
    return (request.url.host or "") in ("127.0.0.1", "localhost")


def _config(api: RunningApi, websocket_path: str) -> bytes:
    """The page's configuration. It has the API key, which is this machine's own."""
    key = {"api_key": api.keys[0]} if api.keys else {}
    return web_client.config(api.path, websocket_url=websocket_path, more={**key, "status_url": STATUS_PATH})


def _status(sections: str, outputs: Mapping[str, Any], not_played: Sequence[str], note: str) -> str:
    """What runs, as HTML. It shows the API keys, which are this machine's own."""
    rows = "".join(map(_row, outputs.items()))
    missing = f"<p>Recorded, but not played here: {escape(', '.join(not_played))}.</p>" if not_played else ""
    client = f"<p>{escape(note)}</p>" if note else '<p><a href="/">The web client</a></p>'
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f'<title>pulumi-llm on this machine</title><link rel="stylesheet" href="{_STYLE_PATH}">'
        f"<main><h1>pulumi-llm on this machine</h1>{client}"
        f"{sections}<h2>Stack outputs</h2><table>{rows}</table>{missing}</main></html>"
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


def _websocket_section(api: RunningWebSocketApi) -> str:
    return (
        f"<h2>{escape(api.url)}</h2><p>Models: {escape(', '.join(api.models))}. Try it in the terminal:</p>"
        f'<pre tabindex="0"><code>{escape(api.chat("pulumi-llm"))}</code></pre>'
    )


def _machine_section(machine: StateMachine) -> str:
    rows = "".join(map(_execution, reversed(machine.executions)))
    head = "<tr>" + "".join(
        f"<th scope=col>{name}</th>" for name in ("execution", "status", "state", "failed tries", "started", "ended")
    )
    return f"<h2>{escape(machine.name)}</h2>" + (f"<table>{head}</tr>{rows}</table>" if rows else "<p>No execution yet.</p>")


def _execution(record: ExecutionRecord) -> str:
    texts = (record.name, record.status, record.state, str(record.failed_tries), record.started, record.ended)
    return f"<tr>{''.join(f'<td>{escape(text)}</td>' for text in texts)}</tr>"
