"""The service against its own description, /openapi.json: called with whatever that allows, and with what it does not."""

import asyncio
import itertools
import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.generation import hypothesis as patches

from llm_functions.http.openapi import document
from llm_gateway import errors
from llm_gateway.operations import MAX_BODY_BYTES, OPERATIONS
from llm_gateway.request import RARE_PARAMETERS
from llm_gateway.routes import Alias, Routes, Target
from wire.bedrock import Wire

# Else it takes the values out of what hypothesis reports of any other test in this process.
patches.setup._is_patched = True

_ALL: Any = ("max_tokens", "temperature", "top_p", "stop", "system", "tools", "stream_tools", "reasoning_effort")


def _alias(name: str, *targets: tuple[str, str], accepts: Any = _ALL) -> Alias:
    return Alias(
        name=name,
        targets=tuple(
            Target(f"{provider}/{name}-{place}", provider, model, 10**9, 10**9, accepts, temperature_max=2.0)
            for place, (provider, model) in enumerate(targets)
        ),
        retries=0,
    )


BEDROCK = ("bedrock", "test.all-v1:0")
# One that answers everything, one that has rules of its own, one with two targets.
ROUTES = Routes(
    (
        _alias(
            "mock", ("mock", "mock"), accepts=(*_ALL, "forced_tools", *RARE_PARAMETERS, "images", "image_urls", "documents")
        ),
        _alias("full", BEDROCK, accepts=_ALL[:-1]),
        _alias("two", BEDROCK, ("bedrock", "test.bare-v1"), accepts=_ALL[:-1]),
    )
)


def schema(models: list[str] | None = None, auth: str = "none") -> Any:
    return schemathesis.openapi.from_dict(json.loads(document(models or ROUTES.names(), auth)))


# Whatever is sent.

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "unsupported_method",
)


async def test_whatever_is_sent_the_answer_is_as_described(gateway, bedrock, tmp_path: Path, capsys: Any) -> None:
    """Boundaries, missing and surplus fields, wrong types, rubbish: no failure of ours, and what is wrong is refused."""
    service = await gateway((await bedrock()).url, routes=ROUTES)
    arguments = ["--phases", "coverage,fuzzing", "--mode", "all", "--max-examples", "15", "--seed", "1"]
    arguments += ["--checks", ",".join(CHECKS), "--request-timeout", "10", "--generation-database", "none"]
    arguments += ["--suppress-health-check", "all", "--continue-on-failure", "--warnings", "off", "--no-color"]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "schemathesis.cli", "run", f"{service.url}/openapi.json", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        cwd=tmp_path,
        env={**os.environ, "NO_PROXY": "127.0.0.1", "PYTHONDONTWRITEBYTECODE": "1"},
    )
    output = (await process.communicate())[0].decode()
    assert process.returncode == 0, output
    tested = re.search(r"(\d+) generated, \d+ passed", output)
    assert tested and int(tested[1]) > 200 and f"Tested: {len(OPERATIONS)}" in output, output
    assert "Traceback" not in capsys.readouterr().out


# What is valid.


def sayable(body: dict[str, Any]) -> dict[str, Any]:
    """A body that the description allows, with what it cannot say: results of calls, some text, and names of tools."""
    messages: list[Any] = []
    for message in body["messages"]:
        if message["role"] == "tool":
            continue
        calls = message.get("tool_calls") or []
        if calls:
            calls = [{**call, "id": f"call_{len(messages)}_{i}"} for i, call in enumerate(calls)]
            calls = [{**call, "function": {**call["function"], "arguments": '{"a": 1}'}} for call in calls]
        messages += [
            {**message, "tool_calls": calls} if calls else message,
            *({"role": "tool", "tool_call_id": call["id"], "content": "Done"} for call in calls),
        ]
    if not any(message["role"] == "user" and "".join(_texts(message)).strip() for message in messages):
        messages.append({"role": "user", "content": "Hi"})
    tools = [*{tool["function"]["name"]: tool for tool in body.get("tools") or []}.values()]
    chosen = body.get("tool_choice")
    if not tools:
        chosen = None
    elif isinstance(chosen, dict):
        last = {"type": "function", "function": {"name": tools[-1]["function"]["name"]}}
        listed = chosen.get("allowed_tools")
        chosen = last if listed is None else {"type": "allowed_tools", "allowed_tools": {**listed, "tools": [last]}}
    bounds = {name: min(body[name], 100) for name in ("max_tokens", "max_completion_tokens") if body.get(name)}
    once = {"tools": tools} if tools else {}
    return {**body, "messages": messages, "tool_choice": chosen, **once, **bounds}


def _texts(message: dict[str, Any]) -> list[str]:
    content = message.get("content") or ""
    return [content] if isinstance(content, str) else [part.get("text", "") for part in content]


OF_THE_MODEL = {"upstream_rejected", "context_length_exceeded"}


@pytest.mark.parametrize(("path", "examples"), [("/chat", 40), ("/chat/stream", 25), ("/v1/chat/completions", 80)])
async def test_what_is_valid_is_answered(gateway, bedrock, path: str, examples: int) -> None:
    """By the model that takes everything in any case, by the other one unless it says itself that it will not."""
    service = await gateway((await bedrock()).url, routes=ROUTES)
    operation = schema(["mock", "full"])[path]["POST"]
    answered: list[str] = []
    models = itertools.cycle(["mock", "full"])  # as many of each, which draws alone do not give
    with requests.Session() as session:
        session.trust_env = False

        @settings(
            max_examples=examples,
            deadline=None,
            derandomize=True,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(generation_mode=GenerationMode.POSITIVE))
        def run(case: Any) -> None:
            body = sayable(case.body) if path.startswith("/v1") else case.body
            if body.get("model"):
                body = {**body, "model": next(models)}
            response = session.post(service.url + path, json=body, timeout=120)
            operation.validate_response(response)
            if response.status_code != 200:
                assert body["model"] == "full", response.text
                error = response.json()["error"]
                assert error["code"] in OF_THE_MODEL or "full does not take " in error["message"], response.text
                return
            streamed = path == "/chat/stream" or (path != "/chat" and body.get("stream") is True)
            assert response.headers["content-type"].startswith("text/event-stream" if streamed else "application/json")
            assert response.headers["x-llm-target"].split("/")[1].startswith(body.get("model") or "mock")
            answered.append("streamed" if streamed else "whole")

        await asyncio.to_thread(run)
    assert len(answered) > examples / 4  # half of the requests name the model that takes everything
    assert set(answered) == {"/chat": {"whole"}, "/chat/stream": {"streamed"}}.get(path, {"whole", "streamed"})


# What fails.


def refusal(status: int, name: str) -> bytes:
    return Wire.response(status, {"message": "The cause"}, x_amzn_errortype=name)


THROTTLED, DENIED = refusal(429, "ThrottlingException"), refusal(403, "AccessDeniedException")
FILTERED = Wire.response(200, Wire.converse(reason="guardrail_intervened"))
# the model asked for, and what Bedrock answers each of its targets -> our status and code
FAILURES: dict[str, tuple[str, list[bytes], int, str]] = {
    "throttled": ("full", [THROTTLED], 429, "upstream_throttled"),
    "not ready": ("full", [refusal(429, "ModelNotReadyException")], 503, "model_not_ready"),
    "unavailable": ("full", [refusal(503, "ServiceUnavailableException")], 503, "upstream_unavailable"),
    "misconfigured": ("full", [DENIED], 502, "upstream_misconfigured"),
    "failed": ("full", [refusal(500, "InternalServerException")], 502, "upstream_failed"),
    "timed out": ("full", [refusal(408, "ModelTimeoutException")], 504, "upstream_timeout"),
    "rejected": ("full", [refusal(400, "ValidationException")], 400, "upstream_rejected"),
    "filtered": ("full", [FILTERED], 400, "content_filter"),
    "all throttled": ("two", [THROTTLED, THROTTLED], 429, "all_targets_failed"),
    "all filtered": ("two", [FILTERED, FILTERED], 400, "all_targets_failed"),
    "throttled and denied": ("two", [THROTTLED, DENIED], 503, "all_targets_failed"),
    "unknown": ("nobody", [], 404, "model_not_found"),
}
PATHS = [o.path for o in OPERATIONS if o.has_body and o.id not in ("count_tokens", "embeddings")]  # those of a model that chats
TURNS = [{"role": "user", "content": "Hi"}]
ASKED: dict[str, dict[str, Any]] = {
    "/chat": {"message": "Hi"},
    "/chat/stream": {"message": "Hi"},
    "/v1/chat/completions": {"messages": TURNS},
    "/v1/completions": {"prompt": "Hi"},
    "/v1/responses": {"input": "Hi"},
    "/v1/messages": {"messages": TURNS, "max_tokens": 100},
    "/v1/messages/count_tokens": {"messages": TURNS},
    "/v1/embeddings": {"input": "Hi"},
}


def asks(path: str, model: str) -> dict[str, Any]:
    return {"model": model, **ASKED[path]}


@pytest.mark.parametrize("path", PATHS)
async def test_failures_are_as_described(gateway, fake, path: str) -> None:
    answers: list[bytes] = []

    async def script(peer: Any) -> None:
        while True:
            await peer.request()
            await peer.send(answers.pop(0))

    upstream = await fake(script)
    operation = schema()[path]["POST"]
    for name, (model, sent, status, code) in FAILURES.items():
        if path == "/chat/stream" and FILTERED in sent:
            continue  # a whole answer
        service = await gateway(upstream.url, routes=ROUTES)
        answers[:] = sent
        response = await service.post(path, asks(path, model))
        assert (response.status_code, service.error_of(response)["code"]) == (status, code), name
        assert ("retry-after" in response.headers) == (status in (429, 503)), name
        assert code in operation.definition.raw["responses"][str(status)]["description"], name
        operation.validate_response(response)
    large = await service.http.post(path, content=b" " * (MAX_BODY_BYTES + 1))
    assert (large.status_code, service.error_of(large)["code"]) == (413, "request_too_large")
    operation.validate_response(large)


@pytest.mark.parametrize("auth", ["none", "api_key", "jwt", "iam"])
async def test_who_may_call_is_described(gateway, auth: str) -> None:
    """Every operation without credentials, and with those of a caller who may use no model of that name."""
    service = await gateway(routes=ROUTES, authorization=auth)
    described = schemathesis.openapi.from_dict((await service.http.get("/openapi.json")).json())
    schemes = {"none": set(), "api_key": {"bearer", "api_key"}, "jwt": {"bearer"}, "iam": {"sigv4"}}[auth]
    for operation in OPERATIONS:
        definition = described[operation.path][operation.method]
        raw = definition.definition.raw
        needed = {scheme for requirement in raw.get("security", []) for scheme in requirement}
        assert needed == (schemes if operation.authorized else set())
        body = asks(operation.path, "mock") if operation.has_body else None
        path = operation.path.replace("{id}", "mock")
        response = await service.http.request(operation.method, path, json=body)
        refused = operation.authorized and auth != "none"
        answered = 400 if operation.id == "embeddings" else 200  # the alias chats
        assert response.status_code == (401 if refused else answered)
        assert {"401", "403"} & set(raw["responses"]) == ({"401", "403"} if refused else set())
        definition.validate_response(response)
        if refused and auth != "iam" and (operation.has_body or operation.id == "model"):
            other = service.context({"tenant": "acme", "key": "ci", "models": '["full"]'})
            response = await service.http.request(operation.method, path, json=body, headers=other)
            assert (response.status_code, service.error_of(response)["code"]) == (403, "model_not_allowed")
            definition.validate_response(response)


def test_every_error_is_described() -> None:
    """Whatever this service or API Gateway in front of it sends is in the document, by its code and with its status."""
    described = json.loads(document(["mock"], "api_key", idempotency=True, jobs=True, batches=True, usage=True))
    paths = described["paths"]
    responses = paths["/chat/stream"]["post"]["responses"]
    # What only a whole answer can be, what only stops a stream, and what is only of jobs, files, batches and past use.
    more = [paths["/chat"]["post"], paths["/chat/{request_id}"]["delete"], paths["/jobs"]["post"], paths["/jobs/{id}"]["get"]]
    more += [
        paths["/v1/files"]["post"],
        paths["/v1/files/{id}"]["get"],
        paths["/v1/batches"]["post"],
        paths["/v1/batches/{id}"]["get"],
        paths["/usage"]["get"],
    ]
    others = [each["responses"] for each in more]
    enum = described["components"]["schemas"]["Error"]["properties"]["error"]["properties"]["code"]["enum"]
    edge = {"authorizer_failed", "bad_request", "expired_token", "unsupported_media_type", "function_timeout", "overloaded"}
    assert edge | {"invalid_value", "upstream_failed"} <= set(enum)
    for kind in errors.ERROR_KINDS:
        assert kind.code in enum
        if kind is errors.method_not_allowed:  # of no operation
            continue
        told = [each[str(kind.status)]["description"] for each in (responses, *others) if str(kind.status) in each]
        assert re.search(rf"\b{kind.code}\b", " ".join(told)), kind.code
    assert all("all_targets_failed" in responses[status]["description"] for status in ("400", "429", "502", "503", "504"))


def test_keys_are_described_where_answers_are_kept() -> None:
    for kept in (False, True):
        paths = json.loads(document(["mock"], "api_key", idempotency=kept))["paths"]
        for operation in OPERATIONS:
            described = paths[operation.path][operation.method.lower()]
            keyed = kept and operation.generates
            headers = [each["name"] for each in described.get("parameters", []) if each["in"] == "header"]
            last = ["Last-Event-ID"] if operation.id == "chat_stream" else []
            assert headers == (["Idempotency-Key", *last] if keyed else []), operation.path
            assert ("409" in described["responses"]) == keyed
            assert ("idempotent-replayed" in described["responses"]["200"]["headers"]) == keyed


@pytest.mark.parametrize("auth", ["none", "api_key", "iam"])
def test_what_api_gateway_answers_by_itself_is_described_for_every_operation(auth: str) -> None:
    paths = json.loads(document(["mock"], auth))["paths"]
    for operation in OPERATIONS:
        responses = paths[operation.path][operation.method.lower()]["responses"]
        edge = {"429": "rate_limit_exceeded", "500": "internal_error", "502": "function_failed", "503": "overloaded"}
        edge["504"] = "function_timeout"
        if operation.authorized and auth != "none":
            edge |= {"401": "invalid_api_key", "403": "access_denied"}
        assert all(code in responses[status]["description"] for status, code in edge.items()), operation.path
        assert operation.has_body or not {"413", "415"} & set(responses), operation.path
