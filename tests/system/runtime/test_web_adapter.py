"""The built bundle behind AWS's own Lambda Web Adapter, called with the events that API Gateway's STREAM integration sends.

The function's variables and handler are those of the dev stack; Bedrock is the local one.
"""

import asyncio
import contextlib
import json
import os
import select
import shutil
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from llm_gateway.operations import MAX_BODY_BYTES
from llm_gateway.routes import Alias, Routes, Target
from pulumi_llm.base import bundle
from pulumi_llm_local.services.signature import Credentials
from pulumi_llm_local.upstreams.bedrock.app import create_app
from pulumi_llm_local.upstreams.model import Finish, ModelTraits, TextDelta
from pulumi_llm_local.upstreams.stand_in_model import StandInModel
from support.gateway_service import function_url_context
from support.keys_table import KEY, serving
from support.lambda_runtime import REGION, Invocation, Lambda, LambdaError, MissingPart, children, free_port, web_adapter_layer
from support.programs import Recording

# Not the fixtures: the adapter may have to be built first.

PROFILE = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/r1profile"
ACCEPTS = ("max_tokens", "temperature", "top_p", "system")


def _alias(name: str, model: str) -> Alias:
    target = Target(
        name=f"bedrock/{name}", provider="bedrock", model=model, max_output_tokens=4096, context_tokens=100_000, accepts=ACCEPTS
    )
    return Alias(name=name, targets=(target,))


ROUTES = Routes(aliases=(_alias("full", "test.all-v1:0"), _alias("r1", PROFILE)))
MODELS = {
    "test.all-v1:0": ModelTraits(frozenset(ACCEPTS)),
    PROFILE: ModelTraits(frozenset(ACCEPTS), reasoning=True),
}
CALLER = {"tenant": "acme", "key": "ci", "models": '["full","r1"]'}


# What runs.


@pytest.fixture(scope="session")
def layer(request: pytest.FixtureRequest) -> Path:
    """The Web Adapter's layer, which this machine builds once."""
    reporter = request.config.pluginmanager.get_plugin("terminalreporter")
    capture = request.config.pluginmanager.get_plugin("capturemanager")

    def tell(line: str) -> None:
        with capture.global_and_fixture_disabled():
            reporter.write_line(line)

    try:
        return web_adapter_layer(tell)
    except MissingPart as missing:
        pytest.skip(str(missing))


@pytest.fixture(scope="session")
def deployed() -> Path:
    return bundle.with_routes(bundle.build("host"), "host", ROUTES)


@pytest.fixture(scope="session")
def configured(dev: Recording) -> Mapping[str, Any]:
    """The function as the dev stack configures it."""
    functions = [dev.inputs(each.name) for each in dev.of_type("aws:lambda/function:Function")]
    (found,) = [inputs for inputs in functions if inputs["handler"] == bundle.RUN_SCRIPT]
    return found


class Gated:
    """A model that gives a token each time the test says so."""

    def __init__(self) -> None:
        self.gate = asyncio.Semaphore(0)
        self.asked = asyncio.Event()
        self.calls: list[Any] = []

    async def generate(self, call: Any) -> AsyncIterator[Any]:
        self.calls.append(call)
        self.asked.set()
        for token in ("one", " two"):
            await self.gate.acquire()
            yield TextDelta(token)
        await self.gate.acquire()
        yield Finish("end_turn", 3, 2)


class Bedrock:
    def __init__(self, runner: web.AppRunner) -> None:
        self._runner = runner
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"

    async def hang_up(self) -> None:
        """Close every connection, and go on listening."""
        assert self._runner.server is not None and self._runner.server.connections
        await self._runner.server.shutdown(0.01)  # 0 is for ever


@pytest.fixture
async def opened() -> AsyncIterator[contextlib.AsyncExitStack]:
    async with contextlib.AsyncExitStack() as stack:
        yield stack


@pytest.fixture
def lambda_(
    opened: contextlib.AsyncExitStack, layer: Path, deployed: Path, configured: Mapping[str, Any], tmp_path: Path
) -> Callable[..., Lambda]:
    """A function that is started by its first invocation."""

    def make(upstream: Bedrock | None = None, code: Path = deployed, **variables: str) -> Lambda:
        function = Lambda(
            code=code,
            handler=configured["handler"],
            variables={
                **configured["environment"]["variables"],
                "AWS_LWA_PORT": str(free_port()),  # not 8080, which is another's here
                "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": upstream.url if upstream else "http://127.0.0.1:9",
                **variables,
            },
            log=tmp_path / "function.log",
            opt=layer,
            runtime=("/var/lang/bin/python3.13", "/var/runtime/bootstrap.py"),
        )
        opened.push_async_callback(function.stop)
        return function

    return make


@pytest.fixture
def bedrock(opened: contextlib.AsyncExitStack) -> Callable[..., Awaitable[Bedrock]]:
    """Start the local Bedrock."""

    async def start(model: Any = None) -> Bedrock:
        keys = Credentials("AKIATEST", "test-secret")
        app = create_app(region=REGION, credentials=keys, models=MODELS, model=model or StandInModel())
        runner = web.AppRunner(app, shutdown_timeout=1.0)
        await runner.setup()
        opened.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return Bedrock(runner)

    return start


# What API Gateway sends and what it is answered.


def event(
    method: str,
    path: str,
    body: Any = None,
    caller: Mapping[str, str] | None = CALLER,
    base_path: str = "",
    **headers: str,
) -> dict[str, Any]:
    """A REST API's proxy event. `base_path` is that of a custom domain, through which the request came.

    https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-proxy-integrations.html#api-gateway-simple-proxy-for-lambda-input-format
    """
    domain = "chat.example.com" if base_path else "a1b2c3.execute-api.us-east-1.amazonaws.com"
    all_headers = {
        "Accept": "*/*",
        "Content-Type": "application/json",
        "Host": domain,
        "User-Agent": "test/1.0",
        "X-Amzn-Trace-Id": "Root=1-5e1b4151-43a0913a12345678901234567",
        "X-Forwarded-For": "192.0.2.1",
        "X-Forwarded-Port": "443",
        "X-Forwarded-Proto": "https",
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    context: dict[str, Any] = {
        "resourceId": "abcdef",
        "resourcePath": path,
        "operationName": "operation",
        "httpMethod": method,
        "extendedRequestId": "DXNYzGsRIAMFSZw=",
        "requestTime": "31/Jan/2026:12:00:00 +0000",
        "path": f"{base_path or '/live'}{path}",
        "accountId": "123456789012",
        "protocol": "HTTP/1.1",
        "stage": "live",
        "domainPrefix": "a1b2c3",
        "requestTimeEpoch": 1769860800000,
        "requestId": "8a5d1e4c-0b8e-4a55-9e2f-000000000001",
        "identity": {"apiKey": None, "sourceIp": "192.0.2.1", "userAgent": "test/1.0", "user": None},
        "domainName": domain,
        "deploymentId": "d1e2f3",
        "apiId": "a1b2c3",
    }
    if caller is not None:
        context["authorizer"] = {"principalId": caller["key"], "integrationLatency": 12, **caller}
    return {
        "resource": path,
        "path": f"{base_path}{path}",
        "httpMethod": method,
        "headers": all_headers,
        "multiValueHeaders": {name: [value] for name, value in all_headers.items()},
        "queryStringParameters": None,
        "multiValueQueryStringParameters": None,
        "pathParameters": None,
        "stageVariables": None,
        "requestContext": context,
        "body": None if body is None else body if isinstance(body, str) else json.dumps(body),
        "isBase64Encoded": False,
    }


REQUEST_ID = event("GET", "/")["requestContext"]["requestId"]


class Answer:
    """A response as API Gateway reads it: the JSON prelude, 8 NUL bytes, the body."""

    def __init__(self, invocation: Invocation) -> None:
        self.invocation = invocation
        self._chunks = aiter(invocation)
        self._rest = b""

    async def head(self) -> "Answer":
        """Read the prelude."""
        received = b""
        while b"\0" * 8 not in received:
            received += await anext(self._chunks)
        prelude, _, self._rest = received.partition(b"\0" * 8)
        assert self.invocation.headers["lambda-runtime-function-response-mode"] == "streaming"
        assert self.invocation.headers["content-type"] == "application/vnd.awslambda.http-integration-response"
        document = json.loads(prelude)
        assert set(document) == {"statusCode", "headers", "cookies"} and document["cookies"] == []
        self.status: int = document["statusCode"]
        self.headers: dict[str, str] = document["headers"]
        # A header that is sent twice would be a list, which API Gateway does not read.
        assert all(isinstance(value, str) for value in self.headers.values())
        return self

    async def chunks(self) -> AsyncIterator[bytes]:
        if self._rest:
            yield self._rest
        async for chunk in self._chunks:
            yield chunk

    async def json(self) -> Any:
        return json.loads(b"".join([chunk async for chunk in self.chunks()]))

    async def events(self) -> AsyncIterator[tuple[str, Any]]:
        """The Server-Sent Events as they come, by name."""
        text = b""
        async for chunk in self.chunks():
            text += chunk
            while b"\n\n" in text:
                block, _, text = text.partition(b"\n\n")
                fields = dict(line.split(": ", 1) for line in block.decode().splitlines() if not line.startswith(":"))
                if "data" in fields:
                    data = fields["data"]
                    yield fields.get("event", ""), data if data == "[DONE]" else json.loads(data)
        assert text == b"", "the last event is not ended"


async def call(function: Lambda, *arguments: Any, timeout: float | None = None, **more: Any) -> Answer:
    return await Answer(await function.invoke(event(*arguments, **more), timeout)).head()


# Every operation.


@pytest.mark.assumes("environment")
async def test_what_is_answered_whole(lambda_, bedrock) -> None:
    function = lambda_(await bedrock())
    health = await call(function, "GET", "/health", caller=None)
    assert health.status == 200 and await health.json() == {"status": "ok"}
    assert health.headers["content-type"] == "application/json"
    assert health.headers["x-request-id"] == REQUEST_ID
    assert health.headers["access-control-allow-origin"] == "*"

    through_domain = await call(function, "GET", "/health", caller=None, base_path="/llm")
    assert through_domain.status == 200 and await through_domain.json() == {"status": "ok"}

    models = await call(function, "GET", "/v1/models")
    assert models.status == 200 and [each["id"] for each in (await models.json())["data"]] == ["full", "r1"]

    openapi = await call(function, "GET", "/openapi.json", caller=None)
    assert openapi.status == 200 and "/chat/stream" in (await openapi.json())["paths"]

    chat = await call(function, "POST", "/chat", {"message": "Grüße 👋"})
    answer = await chat.json()
    assert chat.status == 200 and answer["model"] == "full" and answer["request_id"] == REQUEST_ID
    assert "You wrote: “Grüße 👋”" in answer["message"]

    asked = {"model": "r1", "messages": [{"role": "user", "content": "Hello"}]}
    completion = await call(function, "POST", "/v1/chat/completions", asked)
    assert completion.status == 200 and (await completion.json())["choices"][0]["finish_reason"] == "stop"

    assert len(function.environments) == 1, "one environment serves them all"
    assert function.environment.extensions == ["lambda-adapter"]


async def test_what_is_streamed(lambda_, bedrock) -> None:
    function = lambda_(await bedrock())
    stream = await call(function, "POST", "/chat/stream", {"message": "Hello", "model": "r1"})
    names = [name async for name, _ in stream.events()]
    assert stream.status == 200 and stream.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert stream.headers["cache-control"] == "no-cache, no-transform"
    assert names[0] == "start" and names[-2:] == ["usage", "done"] and {"reasoning", "delta"} < set(names)

    asked = {"model": "full", "messages": [{"role": "user", "content": "Hello"}], "stream": True}
    completion = await call(function, "POST", "/v1/chat/completions", asked)
    chunks = [data async for _, data in completion.events()]
    assert completion.status == 200 and chunks[-1] == "[DONE]"
    assert chunks[-2]["choices"][0]["finish_reason"] == "stop"


async def test_a_stream_comes_chunk_by_chunk(lambda_, bedrock) -> None:
    """The model gives the next token only after the test has the one before it."""
    model = Gated()
    stream = Answer(await lambda_(await bedrock(model)).invoke(event("POST", "/chat/stream", {"message": "Hello"})))
    model.gate.release()
    events = (await stream.head()).events()
    assert (await anext(events))[0] == "start"
    assert (await anext(events))[1]["text"] == "one"
    assert not stream.invocation.ended.is_set()
    model.gate.release()
    assert (await anext(events))[1]["text"] == " two"
    assert not stream.invocation.ended.is_set()
    model.gate.release()
    assert [name async for name, _ in events] == ["usage", "done"]


async def test_bedrock_hangs_up_while_the_environment_is_frozen(lambda_, bedrock) -> None:
    """The function cannot notice that its kept connection is gone until the next call has thawed it."""
    upstream = await bedrock()
    function = lambda_(upstream)
    for _ in range(2):
        chat = await call(function, "POST", "/chat", {"message": "Hello", "max_tokens": 1})
        assert chat.status == 200 and (await chat.json())["stop_reason"] == "max_tokens"
        await function.environment.frozen.wait()
        await upstream.hang_up()
    stream = await call(function, "POST", "/chat/stream", {"message": "Hello"})
    assert [name async for name, _ in stream.events()][-1] == "done"
    assert len(function.environments) == 1


# Who calls.


@pytest.mark.assumes("adapter-context")
async def test_the_authorizers_word_decides(lambda_, bedrock) -> None:
    function = lambda_(await bedrock())
    only = {"tenant": "Müller & Söhne", "key": "ci", "models": '["r1"]'}
    models = await call(function, "GET", "/v1/models", caller=only)
    assert [each["id"] for each in (await models.json())["data"]] == ["r1"]
    chat = await call(function, "POST", "/chat", {"message": "Hello"}, only)
    assert (await chat.json())["model"] == "r1"
    assert '"tenant":"Müller & Söhne"' in function.logged()
    refused = await call(function, "POST", "/chat", {"message": "Hello", "model": "full"}, only)
    assert refused.status == 403 and (await refused.json())["error"]["code"] == "model_not_allowed"

    unknown = await call(function, "POST", "/chat", {"message": "Hello"}, None)
    assert unknown.status == 401 and (await unknown.json())["error"]["code"] == "missing_api_key"


@pytest.mark.parametrize("name", ["x_amzn_request_context", "X_Amzn_Request_Context"])
async def test_a_callers_own_context_is_replaced(lambda_, name: str) -> None:
    function = lambda_()
    forged = json.dumps({"requestId": "forged", "authorizer": {"tenant": "forged", "key": "forged", "models": '["full"]'}})
    unknown = await call(function, "GET", "/v1/models", caller=None, **{name: forged})
    assert unknown.status == 401 and unknown.headers["x-request-id"] == REQUEST_ID
    only = {"tenant": "acme", "key": "ci", "models": '["r1"]'}
    known = await call(function, "GET", "/v1/models", caller=only, **{name: forged})
    assert [each["id"] for each in (await known.json())["data"]] == ["r1"]
    assert "forged" not in function.logged()


async def test_a_callers_own_deadline_is_replaced(lambda_) -> None:
    """A deadline that has passed would end each call at once."""
    function = lambda_(AUTHORIZATION="none")
    chat = await call(function, "POST", "/chat", {"message": "Hello"}, x_amzn_lambda_context='{"deadline": 1}')
    assert chat.status == 503 and (await chat.json())["error"]["code"] == "upstream_unavailable"


# The function's own URL.


def url_event(path: str, body: Any, **headers: str) -> dict[str, Any]:
    """The event of a function URL, which CloudFront calls.

    https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html#urls-payloads
    """
    context = function_url_context("POST", path, REQUEST_ID)
    return {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": "",
        "headers": {"host": context["domainName"], "content-type": "application/json", **headers},
        "requestContext": context,
        "body": json.dumps(body),
        "isBase64Encoded": False,
    }


@pytest.mark.assumes("adapter-context")
async def test_at_its_own_url_the_function_checks_the_key(lambda_, bedrock) -> None:
    forged = json.dumps({"requestId": "forged", "authorizer": {"tenant": "forged", "key": "forged", "models": '["full"]'}})
    with serving() as table:
        function = lambda_(await bedrock(), KEYS_TABLE="the-keys", AWS_ENDPOINT_URL_DYNAMODB=table.url)
        for path, headers, status in (
            ("/api/chat/stream", {"x-api-key": KEY}, 200),
            ("/api/chat/stream", {"x-api-key": "another"}, 401),
            ("/api/chat/stream", {"x-amzn-request-context": forged}, 401),
            ("/api/chat", {"x-api-key": KEY}, 404),
        ):
            asked = url_event(path, {"message": "Hello"}, **headers)
            answer = await Answer(await function.invoke(asked)).head()
            assert (answer.status, answer.headers["x-request-id"]) == (status, REQUEST_ID)
            if status == 200:
                assert [name async for name, _ in answer.events()][-1] == "done"
            else:
                assert "error" in await answer.json()
        assert '"tenant":"acme"' in function.logged() and "forged" not in function.logged()


# What is refused.


async def test_errors_have_their_status_and_shape(lambda_) -> None:
    function = lambda_()
    cases: list[tuple[int, str, tuple[Any, ...]]] = [
        (404, "unknown_route", ("GET", "/nothing")),
        (405, "method_not_allowed", ("DELETE", "/chat")),
        (404, "model_not_found", ("POST", "/chat", {"message": "Hello", "model": "other"})),
        (400, "invalid_value", ("POST", "/chat", {})),
        (400, "invalid_json", ("POST", "/chat", "{")),
        (400, "invalid_value", ("POST", "/chat/stream", {"message": "Hello", "max_tokens": 0})),
        (413, "request_too_large", ("POST", "/chat", {"message": "x" * MAX_BODY_BYTES})),
    ]
    for status, code, arguments in cases:
        refused = await call(function, *arguments)
        error = (await refused.json())["error"]
        assert (refused.status, error["code"]) == (status, code)
        assert error["request_id"] == refused.headers["x-request-id"] == REQUEST_ID
    assert len(function.environments) == 1


async def test_the_largest_body_is_read(lambda_, bedrock) -> None:
    body = json.dumps({"message": "Hello", "max_tokens": 1})
    chat = await call(lambda_(await bedrock()), "POST", "/chat", body + " " * (MAX_BODY_BYTES - len(body)))
    assert chat.status == 200


@pytest.mark.assumes("missing-content-type")
async def test_a_body_without_a_type_has_none_behind_the_adapter(lambda_, bedrock) -> None:
    asked = event("POST", "/chat", {"message": "Hello"})
    headers = {name: value for name, value in asked["headers"].items() if name.lower() != "content-type"}
    assert headers != asked["headers"]
    asked |= {"headers": headers, "multiValueHeaders": {name: [value] for name, value in headers.items()}}
    answer = await Answer(await lambda_(await bedrock()).invoke(asked)).head()
    assert answer.status == 200, await answer.json()


async def test_an_event_that_is_no_call_of_the_api(lambda_) -> None:
    """The adapter hands on what it does not know as POST /events, with no context."""
    function = lambda_(AUTHORIZATION="none")
    answer = await Answer(await function.invoke({"source": "aws.events", "detail-type": "Scheduled Event"})).head()
    assert answer.status == 404 and (await answer.json())["error"]["code"] == "unknown_route"


@pytest.mark.parametrize("debug", [None, "false", "true"])
async def test_the_cause_is_told_with_debug_only(lambda_, debug: str | None) -> None:
    function = lambda_(**({} if debug is None else {"DEBUG": debug}))
    failed = await call(function, "POST", "/chat", {"message": "Hello"})
    error = (await failed.json())["error"]
    assert failed.status == 503 and error["code"] == "upstream_unavailable"
    assert ("127.0.0.1:9" in error.get("detail", "")) is (debug == "true")


# Time.


async def test_the_deadline_is_told_before_lambda_kills(lambda_, bedrock) -> None:
    """The margin is one second: of 2.5 s, the call has 1.5."""
    model = Gated()
    function = lambda_(await bedrock(model))
    for path, body in (
        ("/chat", {"message": "Hello"}),
        ("/chat/stream", {"message": "Hello"}),
        ("/v1/chat/completions", {"model": "full", "messages": [{"role": "user", "content": "Hello"}], "stream": True}),
    ):
        late = await call(function, "POST", path, body, timeout=2.5)
        error = (await late.json())["error"]
        assert late.status == 504 and error["code"] == "upstream_timeout" and error["type"] == "upstream_error"
    assert len(model.calls) == 3 and len(function.environments) == 1


async def test_the_deadline_within_a_stream_is_an_event(lambda_, bedrock) -> None:
    model = Gated()
    function = lambda_(await bedrock(model))
    for _ in range(4):
        model.gate.release()
    assert (await call(function, "POST", "/chat", {"message": "Hello"})).status == 200  # the first call is the slow one
    stream = await call(function, "POST", "/chat/stream", {"message": "Hello"}, timeout=2.5)
    events = [each async for each in stream.events()]
    assert [name for name, _ in events] == ["start", "delta", "error"]
    assert events[-1][1]["error"]["code"] == "upstream_timeout"
    health = await call(function, "GET", "/health", caller=None)
    assert health.status == 200 and len(function.environments) == 1


MISBEHAVES = """
import os, time
from http.server import BaseHTTPRequestHandler, HTTPServer

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()
    def do_POST(self):
        self.close_connection = True
        if self.path == "/hang":
            time.sleep(600)
        if self.path == "/cut":
            self.send_response(200)
            self.send_header("transfer-encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"4\\r\\npart\\r\\n")

HTTPServer(("127.0.0.1", int(os.environ["AWS_LWA_PORT"])), Handler).serve_forever()
"""
# What the adapter writes into the body itself where the application's answer breaks off: lambda_runtime 1.1.0-rc1 sends the
# trailer as one more chunk (src/requests.rs).
TRAILER = b"Lambda-Runtime-Function-Error-Type: Runtime.StreamError\r\nLambda-Runtime-Function-Error-Body: "


@pytest.fixture
def misbehaves(tmp_path: Path) -> Path:
    """A bundle whose application hangs on POST /hang, closes the connection on POST /close and in the middle on POST /cut."""
    folder = tmp_path / "misbehaves"
    folder.mkdir()
    (folder / "app.py").write_text(MISBEHAVES)
    script = folder / bundle.RUN_SCRIPT
    script.write_text("#!/bin/sh\nexec python3 app.py\n")
    script.chmod(0o755)
    return folder


async def test_an_application_that_hangs_is_killed_at_the_deadline(lambda_, misbehaves: Path) -> None:
    function = lambda_(code=misbehaves)
    hanging = await function.invoke(event("POST", "/hang", {}), 0.3)
    with pytest.raises(LambdaError, match=r"^Sandbox.Timedout: Task timed out after 0.30 seconds$"):
        await hanging.payload()
    assert (await call(function, "GET", "/health")).status == 200
    first, second = function.environments
    await first.stop()
    assert first.ended.is_set() and not second.ended.is_set()


# Crashes.


async def test_a_crash_before_the_answer(lambda_, bedrock) -> None:
    model = Gated()
    function = lambda_(await bedrock(model))
    lost = await function.invoke(event("POST", "/chat", {"message": "Hello"}))
    await model.asked.wait()
    function.environment.crash()
    with pytest.raises(LambdaError) as failed:
        await lost.payload()
    # Either is first: Lambda, which sees the process end, or the adapter, whose connection breaks.
    assert failed.value.type == "Runtime.ExitError" or failed.value.payload is not None
    await function.environment.ended.wait()
    assert (await call(function, "GET", "/health")).status == 200
    assert len(function.environments) == 2


async def test_a_crash_in_the_middle_of_a_stream(lambda_, bedrock) -> None:
    model = Gated()
    function = lambda_(await bedrock(model))
    model.gate.release()
    stream = await call(function, "POST", "/chat/stream", {"message": "Hello"})
    received = b""
    chunks = stream.chunks()
    while b"one" not in received:
        received += await anext(chunks)
    function.environment.crash()
    error = None
    try:
        async for chunk in chunks:
            received += chunk
    except LambdaError as raised:
        error = raised
    assert b"event: done" not in received and b"event: error" not in received
    assert TRAILER in received or (error is not None and error.type == "Runtime.ExitError")
    await function.environment.ended.wait()
    for _ in range(6):  # the call that was lost may still wait for some
        model.gate.release()
    again = await call(function, "POST", "/chat/stream", {"message": "Hello"})
    assert [name async for name, _ in again.events()][-1] == "done"
    assert len(function.environments) == 2


async def test_an_answer_that_breaks_off(lambda_, misbehaves: Path) -> None:
    """What the adapter makes of a connection that is closed. The environment lives on."""
    function = lambda_(code=misbehaves)
    with pytest.raises(LambdaError) as failed:
        await (await function.invoke(event("POST", "/close", {}))).payload()
    assert failed.value.payload is not None and "client error" in failed.value.message
    cut = await call(function, "POST", "/cut", {})
    assert cut.status == 200
    received = b"".join([chunk async for chunk in cut.chunks()])
    assert received.startswith(b"part" + TRAILER) and received.endswith(b"\r\n")
    assert cut.invocation.error is None
    assert (await call(function, "GET", "/health")).status == 200 and len(function.environments) == 1


async def test_an_application_that_does_not_start(lambda_, tmp_path: Path) -> None:
    """Without its routes the function cannot answer, so it must not start."""
    code = tmp_path / "code"
    shutil.copytree(bundle.build("host"), code, copy_function=os.link)
    function = lambda_(code=code)
    failed = await function.invoke(event("GET", "/health"))
    with pytest.raises(LambdaError, match=r"^Runtime.ExitError: Error: Runtime exited with error: exit status 1$"):
        await failed.payload()
    assert "FileNotFoundError" in function.logged() and "routes.json" in function.logged()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process's children and waits for those of others")
async def test_nothing_is_left_running(lambda_) -> None:
    function = lambda_()
    assert (await call(function, "GET", "/health")).status == 200
    with contextlib.ExitStack() as handles:
        pids = [pid for process in function.environment.processes.values() for pid in children(process.pid)]
        assert len(pids) == 2, "the adapter and the application"
        watched = select.poll()
        for pid in pids:
            handle = os.pidfd_open(pid)
            handles.callback(os.close, handle)
            watched.register(handle, select.POLLIN)
        await function.stop()
        ended = set[int]()
        while len(ended) < 2 and (ready := watched.poll(10_000)):
            ended.update(handle for handle, _ in ready)
        assert len(ended) == 2
