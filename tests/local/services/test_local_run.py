"""Who may call the servers of a local run by a browser."""

import asyncio
import contextlib
from types import SimpleNamespace
from typing import Any, cast

import aiohttp
import pytest
from aiohttp import web

from pulumi_llm_local.services.local_run import LocalRun

JSON = {"content-type": "application/json"}
HERE = {"origin": "http://localhost:5173"}
ELSEWHERE = {"origin": "https://evil.example"}
ASKED: dict[str, tuple[str, dict[str, str], int]] = {
    "a program": ("POST", JSON, 200),
    "a program, without a type": ("POST", {"content-type": "application/x-www-form-urlencoded"}, 200),
    "a name of this machine": ("POST", {"host": "localhost:1", **JSON}, 200),
    "a name of the stack": ("POST", {"host": "chat.example.com", **JSON}, 200),
    "another name that leads here": ("POST", {"host": "evil.example", **JSON}, 403),
    "another name that leads here, for the page": ("GET", {"host": "evil.example:8787"}, 403),
    "a name that begins as this machine's": ("GET", {"host": "127.0.0.1.evil.example"}, 403),
    "a page of this machine": ("POST", {**HERE, **JSON}, 200),
    "a page of elsewhere": ("POST", {**ELSEWHERE, **JSON}, 403),
    "a page of elsewhere that reads": ("GET", ELSEWHERE, 403),
    "a page without an address": ("POST", {"origin": "null", **JSON}, 403),
    "a page of elsewhere that asks first": ("OPTIONS", ELSEWHERE, 200),
    "a page that the settings name": ("POST", {"origin": "https://page.example.com", **JSON}, 200),
    "a text of a page of elsewhere": ("POST", {**ELSEWHERE, "content-type": "text/plain"}, 403),
    "a text of a page of this machine": ("POST", {**HERE, "content-type": "text/plain"}, 415),
    "a form of a page of this machine": ("POST", {**HERE, "content-type": "multipart/form-data; boundary=x"}, 415),
}


@pytest.mark.parametrize(("method", "headers", "status"), ASKED.values(), ids=ASKED)
async def test_who_is_answered(method: str, headers: dict[str, str], status: int) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(text="answered")

    variables = {"CORS_ALLOW_ORIGIN": "https://page.example.com,https://other.example.com"}
    function = SimpleNamespace(state={"environment": {"variables": variables}})
    loading: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    loading.set_result(SimpleNamespace(of_type=lambda _: [function]))
    async with contextlib.AsyncExitStack() as stop:
        given = cast("Any", None)
        run = LocalRun(given, {}, given, given, loading, stop)
        run.hosts["chat.example.com"] = "http://127.0.0.1:1"
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", answer)
        url = await run.serve(app)
        async with aiohttp.ClientSession() as session, session.request(method, url, headers=headers, data=b"{}") as response:
            assert response.status == status
