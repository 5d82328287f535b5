"""The pages of a local run, and what stays the API's."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from pulumi_llm.base import web_client
from pulumi_llm_local.run.page import with_pages
from pulumi_llm_local.run.running_api import RunningApi
from pulumi_llm_local.services.step_functions.state_machine import ExecutionRecord

API = RunningApi(url="http://127.0.0.1:8787/api", keys=["the-key"], models=["m"])
Client = TestClient[web.Request, web.Application]


async def api(request: web.Request) -> web.Response:
    return web.json_response({"error": f"{request.method} {request.path}"}, status=404)


@pytest.fixture
async def client(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Client:
    """A run whose web client is two files."""
    (tmp_path / "assets").mkdir()
    (tmp_path / "index.html").write_text("<!doctype html>the page")
    (tmp_path / "assets" / "index-abc12345.js").write_text("1")
    monkeypatch.setattr(web_client, "_IN_CHECKOUT", tmp_path)
    return await serve()


async def serve(*machines: Any) -> Client:
    app = web.Application()
    pages = with_pages(api, [API], [], "/ws", {"api_gateway_url": API.url}, ["aws:x/y:Z"], machines)
    app.router.add_route("*", "/{path:.*}", pages)
    client = TestClient(TestServer(app))
    await client.start_server()
    return client


async def test_the_page_is_served_under_its_policy(client: Client) -> None:
    async with client:
        page = await client.get("/")
        assert (await page.text(), page.content_type) == ("<!doctype html>the page", "text/html")
        script = await client.get("/assets/index-abc12345.js")
        assert (script.content_type, script.headers["cache-control"]) == (
            "text/javascript",
            "public, max-age=31536000, immutable",
        )
        for answer in (page, script, await client.get("/status")):
            assert answer.headers["content-security-policy"] == web_client.CONTENT_SECURITY_POLICY
            assert answer.headers["x-content-type-options"] == "nosniff"


async def test_the_configuration_is_of_this_machine(client: Client) -> None:
    async with client:
        answer = await client.get("/config.json")
        assert await answer.json() == {
            "rest_url": "/api",
            "websocket_url": "/ws",
            "api_key": "the-key",
            "status_url": "/status",
        }
        assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("method", "path", "host"),
    [
        ("GET", "/api/nothing", "127.0.0.1"),
        ("GET", "/assets/gone.js", "127.0.0.1"),
        ("GET", "/assets/../config.json.bak", "127.0.0.1"),
        ("POST", "/", "127.0.0.1"),
        ("OPTIONS", "/config.json", "127.0.0.1"),
        ("GET", "/config.json", "evil.example"),
        ("GET", "/", "evil.example"),
    ],
)
async def test_everything_else_is_the_apis(client: Client, method: str, path: str, host: str) -> None:
    async with client:
        answer = await client.request(method, path, headers={"host": host})
        assert answer.status == 404
        assert (await answer.json())["error"].startswith(method)
        assert "content-security-policy" not in answer.headers


async def test_without_the_web_client_its_place_has_what_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(web_client, "_IN_CHECKOUT", tmp_path)
    async with await serve() as client:
        text = await (await client.get("/")).text()
        assert "run &#x27;make frontend&#x27;" in text
        assert API.curl().split("'")[0] in text


async def test_the_status_page_shows_executions_as_they_come() -> None:
    machine = SimpleNamespace(name="batches", executions=[])
    async with await serve(machine) as client:
        assert "No execution yet." in await (await client.get("/status")).text()
        machine.executions.append(ExecutionRecord("e-1", "now", "FAILED", "<Infer>", 2, "later"))
        page = await (await client.get("/status")).text()
        assert "<td>e-1</td><td>FAILED</td><td>&lt;Infer&gt;</td><td>2</td>" in page
