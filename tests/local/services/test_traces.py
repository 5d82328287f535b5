"""The receiver of traces of a local run."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from llm_gateway.aws.client import Aws
from llm_gateway.http.client import HttpClient
from llm_gateway.trace import Tracing
from llm_gateway.tracing import otlp
from llm_gateway.tracing.histograms import Histograms
from llm_gateway.tracing.spans import Measurement, Span
from llm_gateway.tracing.xray import Daemon
from pulumi_llm_local.services import traces as module
from pulumi_llm_local.services.signature import Credentials
from pulumi_llm_local.services.traces import Receiver, Traces

TRACE = "5759e988bd862e3fe1be46a994272793"
SECRET = "arn:aws:secretsmanager:us-east-1:123456789012:secret:otlp-AbCdEf"
KEYS = Credentials("AKIALOCAL", "local-secret")
CHAT = Span(TRACE, "1" * 16, "", "POST /chat", "server", 10**9, 2 * 10**9, {"tenant": "acme"})
CALL = Span(TRACE, "2" * 16, "1" * 16, "chat m", "client", 10**9, 15 * 10**8, {"tokens": 3}, "upstream_throttled")
JSON = {"content-type": "application/json"}


@contextlib.asynccontextmanager
async def receiving(*settings: Tracing) -> AsyncIterator[tuple[str, Traces]]:
    run: Any = SimpleNamespace(graph=SimpleNamespace(region="us-east-1"), key=KEYS, provider_keys={SECRET: "the-key"})
    traces = Traces()
    receiver = Receiver(traces, run, list(settings))
    app = web.Application()
    app.router.add_get("/", receiver.show)
    app.router.add_post("/v1/traces", receiver.take_traces)
    app.router.add_post("/v1/metrics", receiver.take_metrics)
    runner = web.AppRunner(app)
    await runner.setup()
    listener = socket.create_server(("127.0.0.1", 0))
    await web.SockSite(runner, listener).start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", traces
    finally:
        await runner.cleanup()


async def post(url: str, body: bytes, headers: dict[str, str] = JSON) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.post(url, data=body, headers=headers) as response:
        return response.status, await response.text()


async def test_what_the_functions_send_is_shown_as_a_tree() -> None:
    async with receiving(Tracing("https://otlp.example.com")) as (url, _):
        assert await post(f"{url}/v1/traces", otlp.traces({"service.name": "chat"}, [otlp.span(CALL), otlp.span(CHAT)])) == (
            200,
            "{}",
        )
        histograms = Histograms(0)
        histograms.add([Measurement("gen_ai.client.operation.duration", 0.5, {"target": "a"})] * 3)
        assert (await post(f"{url}/v1/metrics", otlp.metrics({}, histograms.take(1), 0, 1)))[0] == 200
        async with aiohttp.ClientSession() as session, session.get(url) as response:
            text = await response.text()
    lines = [line.strip() for line in text.splitlines()]
    assert lines[0] == f"trace {TRACE}"
    assert lines[1].endswith("POST /chat  1000.0 ms") and lines[2] == "tenant: acme"
    assert lines[3].endswith("chat m  500.0 ms  upstream_throttled") and lines[4] == "tokens: 3"
    assert lines[-1] == "metric gen_ai.client.operation.duration: 3 values"


def changed(**more: Any) -> bytes:
    body = json.loads(otlp.traces({}, [otlp.span(CALL)]))
    body["resourceSpans"][0]["scopeSpans"][0]["spans"][0] |= more
    return json.dumps(body).encode()


# A body, its type -> the status, what is said.
REFUSED: dict[str, tuple[bytes, dict[str, str], int, str]] = {
    "no JSON": (b"{", JSON, 400, "truncated"),
    "protobuf": (b"", {"content-type": "application/x-protobuf"}, 415, "application/json"),
    "an id in Base64": (changed(traceId="V1npiL2GLj/hvkapgienkw=="), JSON, 400, "traceId"),
    "an id of zeros": (changed(spanId="0" * 16), JSON, 400, "spanId"),
    "a number that is no string": (changed(startTimeUnixNano=1), JSON, 400, "startTimeUnixNano"),
    "a name of protobuf": (changed(parent_span_id="1" * 16), JSON, 400, "parent_span_id"),
    "an unknown kind": (changed(kind=9), JSON, 400, "kind"),
}


@pytest.mark.parametrize(("body", "headers", "status", "text"), REFUSED.values(), ids=REFUSED)
async def test_what_otlp_has_not_is_refused(body: bytes, headers: dict[str, str], status: int, text: str) -> None:
    async with receiving(Tracing("https://otlp.example.com")) as (url, traces):
        found = await post(f"{url}/v1/traces", body, headers)
        assert (found[0], text in found[1]) == (status, True), found
        assert not traces.spans


async def test_a_key_is_asked_for_where_the_settings_name_one() -> None:
    async with receiving(Tracing("https://otlp.example.com", header="x-key", secret_arn=SECRET)) as (url, traces):
        body = otlp.traces({}, [otlp.span(CALL)])
        assert (await post(f"{url}/v1/traces", body))[0] == 401
        assert (await post(f"{url}/v1/traces", body, {**JSON, "x-key": "wrong"}))[0] == 401
        assert (await post(f"{url}/v1/traces", body, {**JSON, "x-key": "the-key"}))[0] == 200 and traces.spans


async def test_xray_asks_for_a_signature() -> None:
    async with receiving(Tracing("xray")) as (url, traces), HttpClient() as client:
        body = otlp.traces({}, [otlp.span(CALL)])
        assert (await post(f"{url}/v1/traces", body))[0] == 403
        environ = {"AWS_REGION": "us-east-1", "AWS_ENDPOINT_URL_XRAY": url}
        for secret, status in (("wrong", 403), (KEYS.secret_key, 200)):
            signing = Aws(client, {**environ, "AWS_ACCESS_KEY_ID": KEYS.access_key, "AWS_SECRET_ACCESS_KEY": secret})
            async with await signing.post("xray", "/v1/traces", list(JSON.items()), body) as response:
                assert response.status == status
                await response.read()
        assert len(traces.spans) == 1


async def test_the_daemon_takes_subsegments_and_nothing_else() -> None:
    added = asyncio.Event()

    class Noticed(Traces):
        def add(self, trace_id: str, span: module.Shown) -> None:
            super().add(trace_id, span)
            added.set()

    traces = Noticed()
    transport, protocol = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: module.Daemon(traces), ("127.0.0.1", 0)
    )
    try:
        host, port = transport.get_extra_info("sockname")
        sender = Daemon(f"tcp:1.2.3.4:5 udp:{host}:{port}", lambda text: None)
        for wrong in (b"", b"{}", b'{"format":"json","version":2}\n{}', b'{"format":"json","version":1}\n{"name":"x"}'):
            protocol.datagram_received(wrong, None)
        assert not traces.spans
        sender.add([CALL])
        await added.wait()
        sender.close()
    finally:
        transport.close()
    ((trace, (span,)),) = traces.spans.items()
    assert (trace, span.name, span.error, span.attributes) == (TRACE, "chat m", "fault", {"tokens": 3})


def test_the_latest_traces_are_kept() -> None:
    traces = Traces()
    for number in range(60):
        traces.add(f"{number}", module.Shown("a", "", "n", 0.0, 1.0, {}, ""))
    assert len(traces.spans) == 50 and "trace 59" in traces.text() and "trace 9\n" not in traces.text()
