"""Spans and metrics of requests, as an OTLP receiver and X-Ray's daemon get them."""

import asyncio
import contextlib
import json
import re
import socket
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

import msgspec
import pytest

from llm_functions.compose import tracer
from llm_functions.http.__main__ import _flushing
from llm_functions.http.application import Application
from llm_functions.http.server import config
from llm_gateway import errors
from llm_gateway.call import ModelCall
from llm_gateway.errors import GatewayError
from llm_gateway.events import Delta, Done, Event, Reasoning, ToolCall, ToolCallDelta, Usage
from llm_gateway.gateway import Gateway
from llm_gateway.http.client import HttpClient
from llm_gateway.router import Router
from llm_gateway.routes import Alias, Endpoint, Routes, Target
from llm_gateway.rules import Rule
from llm_gateway.trace import Tracing
from support.gateway_service import Service
from support.otlp_receiver import Receiver, attributes, without_content
from wire.http import Fake, Peer, response

TRACE, PARENT = "12345678901234567890123456789012", "1234567890123456"
TRACEPARENT = f"00-{TRACE}-{PARENT}-01"
ROOT, SEGMENT = "1-5759e988-bd862e3fe1be46a994272793", "53995c3f42cd8ad8"
ROOT_TRACE = ROOT[2:].replace("-", "")
PROMPT, ANSWER = "the-secret-prompt", "the-secret-answer"
ACCEPTS = ("max_tokens", "temperature", "top_p", "system", "tools", "stream_tools")

Start = Callable[..., Awaitable[Service]]


class Models:
    """Answers for Bedrock, after the failures that it has."""

    def __init__(self, *failures: GatewayError, events: tuple[Event, ...] = (Delta(ANSWER),)) -> None:
        self.failures = list(failures)
        self.events = events

    async def answer(self, call: ModelCall) -> AsyncGenerator[list[Event], None]:
        if self.failures:
            raise self.failures.pop(0)
        yield [self.events[0]]
        yield [*self.events[1:], Usage(30, 20, cached_tokens=10), Done("end_turn")]


def routes(tracing: Tracing, *endpoints: Endpoint, provider: str = "bedrock") -> Routes:
    targets = [
        Target(f"{provider}/{name}", provider, f"vendor.{name}-v1:0", 4096, 100_000, ACCEPTS) for name in ("small", "large")
    ]
    return Routes((Alias("main", tuple(targets), retries=0),), endpoints, tracing=tracing)


@pytest.fixture
async def receiver(opened: contextlib.AsyncExitStack) -> Receiver:
    found = Receiver()
    await found.start()
    opened.push_async_callback(found.stop)
    return found


@pytest.fixture
def traced(gateway: Start, receiver: Receiver) -> Start:
    """Start the gateway with these settings of tracing."""

    async def start(provider: Any = None, **settings: Any) -> Service:
        tracing = Tracing(receiver.url, **settings)
        return await gateway(provider=provider or Models(), routes=routes(tracing))

    return start


BODY = {"message": PROMPT, "temperature": 0.5, "max_tokens": 100}


async def test_an_answer(traced: Start, receiver: Receiver) -> None:
    service = await traced()
    before = time.time_ns()
    answer = await service.post("/chat", BODY, {"traceparent": TRACEPARENT, "tracestate": "congo=t61"})
    assert answer.status_code == 200
    await receiver.came(1)
    ((_, export),) = receiver.exports
    assert attributes(export.resource_spans[0].resource) == {
        "service.name": "pulumi-llm",
        "cloud.provider": "aws",
        "cloud.platform": "aws_lambda",
        "cloud.region": "us-east-1",
    }
    request, call = receiver.spans()
    assert [span.trace_id.hex() for span in (request, call)] == [TRACE, TRACE]
    assert (request.parent_span_id.hex(), call.parent_span_id) == (PARENT, request.span_id)
    assert (request.name, request.kind, request.flags) == ("POST /chat", 2, 0x301)
    assert (call.name, call.kind, call.flags) == ("chat vendor.small-v1:0", 3, 0x101)
    assert {span.trace_state for span in (request, call)} == {"congo=t61"}
    assert before <= request.start_time_unix_nano <= call.start_time_unix_nano
    assert call.start_time_unix_nano <= call.end_time_unix_nano <= request.end_time_unix_nano < before + 60 * 10**9
    assert (request.status.code, call.status.code) == (0, 0)
    assert attributes(request) == {
        "http.request.method": "POST",
        "http.route": "/chat",
        "http.response.status_code": 200,
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": "main",
        "tenant": "anonymous",
        "request_id": answer.headers["x-request-id"],
        "target": "bedrock/small",
    }
    found = attributes(call)
    assert re.fullmatch(r"127\.0\.0\.1", found.pop("server.address")) and found.pop("server.port") == 9
    assert found == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "aws.bedrock",
        "gen_ai.request.model": "vendor.small-v1:0",
        "target": "bedrock/small",
        "gen_ai.request.max_tokens": 100,
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.top_p": 0.9,
        "gen_ai.response.model": "vendor.small-v1:0",
        "gen_ai.response.finish_reasons": ["end_turn"],
        "gen_ai.usage.input_tokens": 30,
        "gen_ai.usage.output_tokens": 20,
        "gen_ai.usage.cache_read.input_tokens": 10,
    }
    assert without_content(receiver, PROMPT, ANSWER)


async def test_a_stream_has_been_exported_when_it_ends(traced: Start, receiver: Receiver) -> None:
    service = await traced()
    await service.sse("/chat/stream", BODY)
    request, call = receiver.spans()
    assert request.name == "POST /chat/stream" and request.parent_span_id == b""
    found = attributes(call)
    assert found["gen_ai.request.stream"] is True and found["gen_ai.response.time_to_first_chunk"] >= 0


async def test_each_call_is_a_span(traced: Start, receiver: Receiver) -> None:
    service = await traced(Models(errors.upstream_throttled()), metrics=True)
    await service.post("/chat", BODY)
    await receiver.came(1)
    request, failed, answered = receiver.spans()
    assert (failed.name, answered.name) == ("chat vendor.small-v1:0", "chat vendor.large-v1:0")
    assert failed.span_id != answered.span_id and failed.end_time_unix_nano <= answered.start_time_unix_nano
    assert (failed.status.code, failed.status.message) == (2, "upstream_throttled")
    assert attributes(failed)["error.type"] == "upstream_throttled" and "gen_ai.response.model" not in attributes(failed)
    assert answered.status.code == 0 and "error.type" not in attributes(answered)
    assert request.status.code == 0 and attributes(request)["target"] == "bedrock/large"


async def test_a_failure(traced: Start, receiver: Receiver) -> None:
    service = await traced(Models(errors.upstream_throttled(), errors.upstream_unavailable(detail=PROMPT)))
    answer = await service.post("/chat", BODY)
    await receiver.came(1)
    request, *calls = receiver.spans()
    assert [call.status.message for call in calls] == ["upstream_throttled", "upstream_unavailable"]
    found = attributes(request)
    assert found["http.response.status_code"] == answer.status_code >= 500
    assert found["error.type"] == request.status.message == Service.error_of(answer)["code"] and request.status.code == 2
    assert without_content(receiver, PROMPT)


async def test_a_failure_after_the_first_token(traced: Start, receiver: Receiver) -> None:
    class Broken(Models):
        async def answer(self, call: ModelCall) -> AsyncGenerator[list[Event], None]:
            yield [Delta(ANSWER)]
            raise errors.stream_interrupted(detail="gone")

    service = await traced(Broken())
    await service.sse("/chat/stream", BODY)
    request, call = receiver.spans()
    assert attributes(request)["http.response.status_code"] == 200 and request.status.code == 2
    assert attributes(call)["error.type"] == "stream_interrupted"


async def test_a_request_that_its_caller_did_wrong_is_no_failure_of_the_service(traced: Start, receiver: Receiver) -> None:
    service = await traced()
    assert (await service.post("/chat", {**BODY, "model": PROMPT})).status_code == 404
    await receiver.came(1)
    (request,) = receiver.spans()
    found = attributes(request)
    assert (found["http.response.status_code"], found["error.type"]) == (404, "model_not_found") and request.status.code == 0
    assert "gen_ai.request.model" not in found and PROMPT not in str(request), "what is no alias may be anything"


async def test_embeddings(traced: Start, gateway: Start, receiver: Receiver) -> None:
    service = await traced()
    await service.post("/v1/embeddings", {"input": PROMPT, "model": "main"})
    await receiver.came(1)
    (request,) = receiver.spans()
    assert attributes(request)["gen_ai.operation.name"] == "embeddings" and without_content(receiver, PROMPT)


async def test_metrics(traced: Start, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llm_gateway.tracing.exporter.METRICS_INTERVAL", 0.0)
    service = await traced(Models(errors.upstream_throttled()), metrics=True, sample_ratio=0.0)
    await service.sse("/chat/stream", BODY)
    assert receiver.spans() == [], "metrics count every request, in the sample or not"
    duration = {attributes(point)["target"]: attributes(point) for point in receiver.points("gen_ai.client.operation.duration")}
    assert duration["bedrock/small"]["error.type"] == "upstream_throttled" and "error.type" not in duration["bedrock/large"]
    tokens = {attributes(p)["gen_ai.token.type"]: p.sum for p in receiver.points("gen_ai.client.token.usage")}
    assert tokens == {"input": 30, "output": 20}
    (first,) = receiver.points("gen_ai.server.time_to_first_token")
    assert first.count == 1 and list(first.explicit_bounds)[-1] == 10.0
    assert set(attributes(first)) == {
        "gen_ai.operation.name",
        "gen_ai.provider.name",
        "gen_ai.request.model",
        "server.address",
        "server.port",
        "target",
    }
    (chunk,) = receiver.points("gen_ai.client.operation.time_to_first_chunk")
    assert chunk.sum <= first.sum
    assert {metric.histogram.aggregation_temporality for metric in receiver.metrics()} == {1}


# The caller's headers, the ratio -> whether it is in the sample.
SAMPLES: dict[str, tuple[dict[str, str], float, bool]] = {
    "all": ({}, 1.0, True),
    "none": ({}, 0.0, False),
    "a caller cannot put its request in": ({"traceparent": TRACEPARENT}, 0.0, False),
    "a caller keeps its request out": ({"traceparent": f"00-{TRACE}-{PARENT}-00"}, 1.0, False),
    "X-Ray's sample is its own": ({"x-amzn-trace-id": f"Root={ROOT};Parent={SEGMENT};Sampled=0"}, 1.0, True),
}


@pytest.mark.parametrize(("headers", "ratio", "sampled"), SAMPLES.values(), ids=SAMPLES)
async def test_the_sample(traced: Start, receiver: Receiver, headers: dict[str, str], ratio: float, sampled: bool) -> None:
    service = await traced(sample_ratio=ratio)
    await service.sse("/chat/stream", BODY, headers)
    assert bool(receiver.spans()) == sampled


# The caller's headers -> the trace and the parent of the request's span; None: a new one.
CONTEXTS: dict[str, tuple[dict[str, str], str | None, str]] = {
    "W3C's": ({"traceparent": TRACEPARENT, "x-amzn-trace-id": f"Root={ROOT};Parent={SEGMENT};Sampled=1"}, TRACE, PARENT),
    "X-Ray's": ({"x-amzn-trace-id": f"Root={ROOT};Parent={SEGMENT};Sampled=1"}, ROOT_TRACE, SEGMENT),
    "X-Ray's, which has not recorded it": (
        {"x-amzn-trace-id": f"Root={ROOT};Parent={SEGMENT};Sampled=0"},
        ROOT[2:].replace("-", ""),
        "",
    ),
    "a wrong one": ({"traceparent": f"00-{'0' * 32}-{PARENT}-01"}, None, ""),
    "none": ({}, None, ""),
}


@pytest.mark.parametrize(("headers", "trace", "parent"), CONTEXTS.values(), ids=CONTEXTS)
async def test_the_context_of_a_caller(
    traced: Start, receiver: Receiver, headers: dict[str, str], trace: str | None, parent: str
) -> None:
    service = await traced()
    await service.sse("/chat/stream", BODY, headers)
    request = receiver.spans()[0]
    assert request.parent_span_id.hex() == parent
    if trace is None:
        assert abs(int(request.trace_id.hex()[:8], 16) - time.time()) < 60, "X-Ray takes it, too"
    else:
        assert request.trace_id.hex() == trace


@pytest.mark.parametrize("stream", [True, False])
async def test_of_a_caller_whose_answers_are_not_kept_a_trace_has_no_content(
    gateway: Start, receiver: Receiver, stream: bool
) -> None:
    private = Rule("private", tenants=("shop",), retention="none")
    traced = msgspec.structs.replace(routes(Tracing(receiver.url, content=True)), rules=(private,))
    service = await gateway(provider=Models(), routes=traced, authorization="api_key")
    path = "/chat/stream" if stream else "/chat"
    for count, tenant in enumerate(("shop", "other"), 1):
        body = {"message": f"{PROMPT}-{tenant}"}
        await service.post(path, body, service.context({"tenant": tenant, "key": "web", "models": '"all"'}))
        await receiver.came(count)
    texts = str([attributes(span) for span in receiver.spans()])
    assert f"{PROMPT}-other" in texts and texts.count(ANSWER) == 1 and f"{PROMPT}-shop" not in texts


@pytest.mark.parametrize("told", [True, False])
async def test_a_provider_is_told_the_trace_where_that_is_set(
    gateway: Start, receiver: Receiver, opened: contextlib.AsyncExitStack, told: bool
) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(response(500, {"error": {"message": "no"}}))

    vllm = Fake(script)
    await vllm.start()
    opened.push_async_callback(vllm.stop)
    endpoint = Endpoint("vllm", "openai_compatible", base_url=f"{vllm.url}/v1", trace_context=told)
    service = await gateway(routes=routes(Tracing(receiver.url), endpoint, provider="vllm"))
    await service.post("/chat", BODY, {"traceparent": TRACEPARENT, "tracestate": "congo=t61"})
    await receiver.came(1)
    _, *calls = receiver.spans()
    assert len(calls) == len(vllm.heads) == 2
    for head, call in zip(vllm.heads, calls, strict=True):
        assert (f"\r\ntraceparent: 00-{TRACE}-{call.span_id.hex()}-01\r\n" in head) == told
        assert ("\r\ntracestate: congo=t61\r\n" in head) == told
        assert attributes(call)["server.address"] == "127.0.0.1" and attributes(call)["gen_ai.provider.name"] == "vllm"


async def test_what_is_said_only_where_it_is_asked_for(traced: Start, receiver: Receiver) -> None:
    events = (
        Reasoning("Ada's address is ada@example.com"),
        Delta(f"{ANSWER} +49 30 123456"),
        ToolCall(0, "call-1", "look_up"),
        ToolCallDelta(0, '{"card": "4111 1111 1111 1111"}'),
    )
    service = await traced(Models(events=events), content=True)
    messages = [
        {"role": "user", "content": "x" * 50_000 + "my card is 4111 1111 1111 1111"},
        {"role": "assistant", "content": "Hello"},
        {"role": "user", "content": f"{PROMPT}: I am ada@example.com"},
    ]
    await service.post(
        "/v1/chat/completions", {"model": "main", "messages": [{"role": "system", "content": "Be brief"}, *messages]}
    )
    await receiver.came(1)
    request, call = receiver.spans()
    found = attributes(call)
    assert not any(name.endswith(("messages", "instructions")) for name in attributes(request))
    assert json.loads(found["gen_ai.system_instructions"]) == [{"type": "text", "content": "Be brief"}]
    asked = json.loads(found["gen_ai.input.messages"])
    assert [message["role"] for message in asked] == ["user", "assistant", "user"]
    assert asked[2]["parts"] == [{"type": "text", "content": f"{PROMPT}: I am {{EMAIL}}"}]
    assert 15_000 < len(asked[0]["parts"][0]["content"]) < 16_000
    (answered,) = json.loads(found["gen_ai.output.messages"])
    assert answered == {
        "role": "assistant",
        "parts": [
            {"type": "reasoning", "content": "Ada's address is {EMAIL}"},
            {"type": "text", "content": f"{ANSWER} {{PHONE}}"},
            {"type": "tool_call", "id": "call-1", "name": "look_up", "arguments": '{"card": "{CREDIT_CARD}"}'},
        ],
        "finish_reason": "end_turn",
    }
    assert without_content(receiver, "ada@example.com", "4111", "123456")


async def test_a_receiver_that_fails_fails_no_request(gateway: Start, capfdbinary: Any) -> None:
    service = await gateway(provider=Models(), routes=routes(Tracing("http://127.0.0.1:9", metrics=True)))
    for _ in range(3):
        events = await service.sse("/chat/stream", BODY)
        assert events[-1].name == "done"
    lines = [json.loads(line) for line in capfdbinary.readouterr().out.splitlines() if line.startswith(b"{")]
    assert len([line for line in lines if "is not exported" in line["message"]]) == 1


async def test_a_span_that_cannot_be_made_fails_no_request(
    traced: Start, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> Any:
        raise RuntimeError(PROMPT)

    monkeypatch.setattr("llm_gateway.tracing.tracer.spans", broken)
    service = await traced()
    assert (await service.post("/chat", BODY)).status_code == 200
    assert receiver.paths == []


# With X-Ray.


@pytest.mark.assumes("xray-otlp")
async def test_the_otlp_endpoint_of_xray_gets_signed_requests(gateway: Start, receiver: Receiver) -> None:
    service = await gateway(provider=Models(), routes=routes(Tracing("xray")), xray=receiver.url)
    await service.sse("/chat/stream", BODY)
    assert receiver.paths == ["/v1/traces"] and len(receiver.spans()) == 2
    assert "/us-east-1/xray/aws4_request" in receiver.heads[0]


class Datagrams(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.came = asyncio.Queue[bytes]()

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.came.put_nowait(data)


@pytest.fixture
async def daemon(opened: contextlib.AsyncExitStack) -> tuple[str, Datagrams]:
    transport, found = await asyncio.get_running_loop().create_datagram_endpoint(Datagrams, ("127.0.0.1", 0))
    opened.callback(transport.close)
    return f"http://127.0.0.1:{transport.get_extra_info('sockname')[1]}", found


LAMBDAS = {"x-amzn-trace-id": f"Root={ROOT};Parent={SEGMENT};Sampled=1", "traceparent": TRACEPARENT}


async def segment(daemon: Datagrams) -> dict[str, Any]:
    header, _, document = (await daemon.came.get()).partition(b"\n")
    assert json.loads(header) == {"format": "json", "version": 1}
    return json.loads(document)


@pytest.mark.assumes("xray-daemon")
async def test_the_daemon_of_xray_gets_segments_below_the_functions(gateway: Start, daemon: tuple[str, Datagrams]) -> None:
    url, datagrams = daemon
    models = Models(errors.upstream_throttled(), errors.upstream_unavailable(detail=PROMPT))
    service = await gateway(provider=models, routes=routes(Tracing()), xray=url)
    answer = await service.post("/chat", BODY, LAMBDAS)
    request, *calls = [await segment(datagrams) for _ in range(3)]
    assert {each["trace_id"] for each in (request, *calls)} == {ROOT}
    assert request["parent_id"] == SEGMENT and {call["parent_id"] for call in calls} == {request["id"]}
    assert {each["type"] for each in (request, *calls)} == {"subsegment"}
    assert {call["namespace"] for call in calls} == {"remote"} and "namespace" not in request
    assert (request["name"], calls[0]["name"]) == ("POST /chat", "chat vendor.small-v1:0")
    assert request["http"] == {"request": {"method": "POST"}, "response": {"status": answer.status_code}}
    assert request["fault"] is True and [call["fault"] for call in calls] == [True, True]
    assert 0 <= request["end_time"] - request["start_time"] < 60 and abs(request["start_time"] - time.time()) < 60
    for each in (request, *calls):
        # https://docs.aws.amazon.com/xray/latest/devguide/xray-api-segmentdocuments.html
        assert re.fullmatch(r"[\w\s.:/%&#=+\\@-]{1,200}", each["name"]) and re.fullmatch(r"[0-9a-f]{16}", each["id"])
        assert all(re.fullmatch(r"\w{1,500}", key) for key in each["annotations"])
        assert all(isinstance(value, str | int | float | bool) for value in each["annotations"].values())
    assert request["annotations"]["gen_ai_request_model"] == "main" and request["annotations"]["tenant"] == "anonymous"
    assert calls[0]["annotations"]["error_type"] == "upstream_throttled"
    assert PROMPT not in json.dumps([request, *calls])


@pytest.mark.parametrize("header", ["", f"Root={ROOT};Parent={SEGMENT};Sampled=0", f"Root={ROOT};Sampled=1"])
async def test_what_xray_does_not_record_is_not_sent(gateway: Start, daemon: tuple[str, Datagrams], header: str) -> None:
    url, datagrams = daemon
    service = await gateway(provider=Models(), routes=routes(Tracing()), xray=url)
    await service.post("/chat", BODY, {"x-amzn-trace-id": header, "traceparent": TRACEPARENT})
    await service.post("/chat", BODY, LAMBDAS)
    assert (await segment(datagrams))["parent_id"] == SEGMENT and datagrams.came.qsize() <= 1


async def test_a_process_without_a_daemon_answers(gateway: Start) -> None:
    service = await gateway(provider=Models(), routes=routes(Tracing()))
    assert (await service.post("/chat", BODY, LAMBDAS)).status_code == 200


# The end of a process.


@pytest.mark.assumes("traces-at-the-end")
async def test_what_is_left_is_exported_before_the_process_ends(receiver: Receiver) -> None:
    environ = {
        **{"AWS_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "AKIA", "AWS_SECRET_ACCESS_KEY": "secret"},
        **{"AUTHORIZATION": "none", "CORS_ALLOW_ORIGIN": "*"},
    }
    found = routes(Tracing(receiver.url, metrics=True))
    async with HttpClient() as client:
        traces = tracer(found, client, environ)
        assert traces is not None
        answering = Gateway(found, Router({"bedrock": Models()}), tracer=traces)
        listener = socket.create_server(("127.0.0.1", 0))
        server = _flushing(traces)(config(Application(answering, environ)))
        serving = asyncio.create_task(server.serve([listener]))
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/chat"
        async with await client.send("POST", url, [("content-type", "application/json")], json.dumps(BODY).encode()) as answer:
            assert answer.status == 200 and ANSWER.encode() in await answer.read()
        server.should_exit = True
        await serving
    assert len(receiver.spans()) == 2 and receiver.points("gen_ai.client.operation.duration")


START = """
import os, sys
import llm_functions.http.__main__
from llm_functions.compose import gateway_of
from llm_gateway.http.client import HttpClient
from llm_gateway.routes import Alias, Routes, Target
from llm_gateway.trace import Tracing

target = Target("mock", "mock", "m", max_output_tokens=9, context_tokens=9, accepts=())
gateway = gateway_of(Routes((Alias("m", (target,)),), tracing=TRACING), HttpClient(), os.environ)
print(*(name for name in sys.modules if "tracing" in name))
"""


@pytest.mark.parametrize(("tracing", "is_loaded"), [("None", False), ("Tracing()", True), ("Tracing('xray')", True)])
def test_a_start_without_traces_loads_nothing_of_them(tracing: str, is_loaded: bool) -> None:
    keys = {"AWS_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "AKIA", "AWS_SECRET_ACCESS_KEY": "secret"}
    code = START.replace("TRACING", tracing)
    done = subprocess.run([sys.executable, "-c", code], env=keys, capture_output=True, text=True, check=True)
    assert ("llm_gateway.tracing.tracer" in done.stdout) == is_loaded and "llm_gateway.tracing.content" not in done.stdout
    assert is_loaded or not done.stdout.split()
