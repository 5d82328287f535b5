"""The whole stack on loopback, through the command: what a newcomer sees, good and bad."""

import asyncio
import gzip
import json
import os
import re
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import boto3
import httpx
import openai
import pytest
from botocore.config import Config

from pulumi_llm.base.bundle import cache_folder
from system.local.conftest import ROOT, LocalStack, command_line, descendants, events, failed_start, local_stack

OUTPUTS = {
    *("api_gateway_url", "stream_url", "websocket_url"),
    *("api_key_value", "api_keys", "cloudwatch_log_group", "lambda_function_name"),
}


def test_json_is_one_line_of_the_stacks_outputs_with_local_addresses(dev: LocalStack) -> None:
    assert set(dev.outputs) == OUTPUTS
    assert dev.outputs["api_key_value"] in dev.outputs["api_keys"].values()
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/api", dev.url)
    assert dev.outputs["stream_url"] == f"{dev.url}/chat/stream"
    assert dev.outputs["websocket_url"] == f"{dev.url.replace('http', 'ws', 1).removesuffix('/api')}/ws"
    assert re.fullmatch(r"[A-Za-z0-9]{20,128}", dev.key)


def test_chat_answers_whole_and_streamed(dev: LocalStack) -> None:
    whole = dev.post("/chat", {"message": "What is two and two?"})
    assert whole.status_code == 200
    assert "What is two and two?" in whole.json()["message"]
    assert whole.json()["request_id"] == whole.headers["x-request-id"]
    streamed = dev.post("/chat/stream", {"message": "What is two and two?"})
    assert streamed.headers["content-type"].startswith("text/event-stream")
    got = events(streamed.text.split("\n"))
    assert [number for number, _, _ in got] == list(range(1, len(got) + 1))
    assert [got[0][1], got[-2][1], got[-1][1]] == ["start", "usage", "done"]
    assert "".join(data["text"] for _, kind, data in got if kind == "delta") == whole.json()["message"]


def test_the_first_event_arrives_while_the_model_still_generates() -> None:
    delay = 0.03
    with (
        local_stack("--model-delay", f"0,{delay}") as stack,
        httpx.stream(
            "POST", stack.outputs["stream_url"], json={"message": "Hello"}, headers={"x-api-key": stack.key}, timeout=60
        ) as response,
    ):
        first, count = 0.0, 0
        for line in response.iter_lines():
            if line == "event: delta":
                first = first or time.monotonic()
                count += 1
        # The model sleeps before each token, so had the events been held back, they would have come at once.
        assert time.monotonic() - first > (count - 2) * delay


def test_the_printed_lines_work_as_pasted(tmp_path: Path) -> None:
    with local_stack("--model-delay", "0", json_output=False) as stack:
        assert stack.process.stdout is not None
        printed: list[str] = []
        while not printed or "Ctrl-C" not in printed[-1]:
            printed.append(stack.process.stdout.readline())
        lines = [line.strip() for line in printed]
        curl = next(line for line in lines if line.startswith("curl"))
        client = next(line for line in lines if "from openai import OpenAI" in line)
        chat = next(line for line in lines if " chat --endpoint" in line)
        page = next(line.split()[1] for line in lines if line.startswith("page"))
        bedrock = next(line.split(maxsplit=1)[1] for line in lines if line.startswith("bedrock"))
        for line, expected in (
            (curl, "event: done"),
            (client, "Hello"),
            (f"{chat} --message Hello", "Hello"),
        ):
            done = subprocess.run(["/bin/bash", "-c", line], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
            assert done.returncode == 0, done.stderr
            assert expected in done.stdout
        assert re.search(r"base_url='[^']+', api_key='[^']+'\)", client), "only base_url and api_key are needed"
        status = next(line.split()[1] for line in lines if line.startswith("status"))
        for address in (status, f"{page}config.json"):
            assert stack_key(curl) in httpx.get(address, timeout=60).text
            assert httpx.get(address, headers={"host": "evil.example:80"}, timeout=60).status_code == 403
        _boto3_straight_at_bedrock(dict(pair.split("=", 1) for pair in bedrock.split()))


def stack_key(curl: str) -> str:
    match = re.search(r"x-api-key: (\w+)", curl)
    assert match
    return match[1]


def _boto3_straight_at_bedrock(variables: dict[str, str]) -> None:
    client: Any = boto3.client(
        "bedrock-runtime",
        region_name=variables["AWS_REGION"],
        aws_access_key_id=variables["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
        endpoint_url=variables["AWS_ENDPOINT_URL_BEDROCK_RUNTIME"],
        config=Config(retries={"total_max_attempts": 1}),
    )
    request = {"modelId": "deepseek.v3.2", "messages": [{"role": "user", "content": [{"text": "Hello"}]}]}
    whole = client.converse(**request)
    assert whole["stopReason"] == "end_turn"
    stream = list(client.converse_stream(**request)["stream"])
    assert "metadata" in stream[-1]
    text = "".join(event["contentBlockDelta"]["delta"]["text"] for event in stream if "contentBlockDelta" in event)
    assert text == whole["output"]["message"]["content"][0]["text"]


async def test_the_openai_client_whole_streamed_and_with_tools(dev: LocalStack) -> None:
    async with openai.AsyncOpenAI(base_url=f"{dev.url}/v1", api_key=dev.key) as client:
        models = [model.id async for model in client.models.list()]
        assert models == ["deepseek-v3-2", "gpt-oss-20b", "claude-haiku-5-5"]
        messages: list[Any] = [{"role": "user", "content": "How is the weather in Paris?"}]
        whole = await client.chat.completions.create(model=models[0], messages=messages)
        stream = await client.chat.completions.create(
            model=models[0], messages=messages, stream=True, stream_options={"include_usage": True}
        )
        chunks = [chunk async for chunk in stream]
        text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
        assert text == whole.choices[0].message.content
        assert chunks[-1].usage == whole.usage
        schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
        tools: list[Any] = [{"type": "function", "function": {"name": "weather", "parameters": schema}}]
        called = await client.chat.completions.create(model=models[0], messages=messages, tools=tools)
        assert called.choices[0].finish_reason == "tool_calls"
        (call,) = called.choices[0].message.tool_calls or []
        assert isinstance(json.loads(call.function.arguments)["city"], str)  # type: ignore[union-attr]
        messages += [called.choices[0].message, {"role": "tool", "tool_call_id": call.id, "content": "18 degrees"}]
        answered = await client.chat.completions.create(model=models[0], messages=messages, tools=tools)
        assert "18 degrees" in (answered.choices[0].message.content or "")


BAD = [
    # name, method, path, headers, body, status, code
    ("no key", "POST", "/chat", {"x-api-key": ""}, b'{"message": "x"}', 401, "invalid_api_key"),
    ("wrong key", "POST", "/chat", {"x-api-key": "a" * 40}, b'{"message": "x"}', 401, "invalid_api_key"),
    ("wrong bearer", "GET", "/v1/models", {"x-api-key": "", "authorization": "Bearer no"}, b"", 401, "invalid_api_key"),
    ("no body", "POST", "/chat", {}, b"", 400, "invalid_json"),
    ("not JSON", "POST", "/chat", {}, b"{'message'", 400, "invalid_json"),
    ("a list", "POST", "/v1/chat/completions", {}, b"[]", 400, "invalid_json"),
    ("no message", "POST", "/chat", {}, b"{}", 400, "invalid_value"),
    ("both", "POST", "/chat", {}, b'{"message": "x", "prompt": "x"}', 400, "invalid_value"),
    ("temperature", "POST", "/chat", {}, b'{"message": "x", "temperature": 2.1}', 400, "invalid_value"),
    ("unknown model", "POST", "/chat", {}, b'{"message": "x", "model": "gpt-9"}', 404, "model_not_found"),
    ("unknown route", "POST", "/nothing", {}, b"{}", 404, "unknown_route"),
    ("wrong method", "GET", "/chat", {}, b"", 404, "unknown_route"),
    ("a form", "POST", "/chat", {"content-type": "text/plain"}, b'{"message": "x"}', 415, "unsupported_media_type"),
    ("nested deeply", "POST", "/chat", {}, b'{"message": ' + b"[" * 3_000 + b"]" * 3_000 + b"}", 400, "invalid_json"),
    ("not compressed", "POST", "/chat", {"content-encoding": "gzip"}, b'{"message": "x"}', 415, "unsupported_media_type"),
    ("half of it", "POST", "/chat", {"content-encoding": "gzip"}, gzip.compress(b"{}")[:-9], 415, "unsupported_media_type"),
    ("a coding", "POST", "/chat", {"content-encoding": "br"}, b'{"message": "x"}', 415, "unsupported_media_type"),
    ("compressed", "POST", "/chat", {"content-encoding": "gzip"}, gzip.compress(b"{}"), 400, "invalid_value"),
    ("5 MB", "POST", "/chat", {}, b'{"message": "' + b"x" * 5_000_000 + b'"}', 413, "request_too_large"),
    ("10 MB", "POST", "/chat", {}, b'{"message": "' + b"x" * 10_485_760 + b'"}', 413, "request_too_large"),
]


@pytest.mark.parametrize(("method", "path", "headers", "body", "status", "code"), [c[1:] for c in BAD], ids=[c[0] for c in BAD])
@pytest.mark.assumes("unknown-route")
@pytest.mark.assumes("too-large")
@pytest.mark.assumes("event-size")
@pytest.mark.assumes("identity-source")
def test_bad_requests(
    dev: LocalStack, method: str, path: str, headers: dict[str, str], body: bytes, status: int, code: str
) -> None:
    given = {"x-api-key": dev.key, "content-type": "application/json", **headers}
    answer = httpx.request(method, dev.url + path, headers=given, content=body, timeout=60)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert set(answer.json()["error"]) - {"param"} == {"type", "code", "message", "request_id"}
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.headers["x-request-id"] == answer.json()["error"]["request_id"]


@pytest.mark.assumes("missing-content-type")
def test_a_body_without_a_type_is_taken_for_json(dev: LocalStack) -> None:
    answer = httpx.post(f"{dev.url}/chat", content=b'{"message": "Hi"}', headers={"x-api-key": dev.key}, timeout=60)
    assert "content-type" not in answer.request.headers and answer.status_code == 200, answer.text


def test_a_browser_may_ask_first(dev: LocalStack) -> None:
    for path in ("/chat", "/chat/stream", "/v1/models"):
        answer = httpx.options(
            dev.url + path, headers={"origin": "https://example.com", "access-control-request-method": "POST"}, timeout=60
        )
        assert answer.status_code == 204
        assert answer.headers["access-control-allow-origin"] == "*"
        assert "authorization" in answer.headers["access-control-allow-headers"]


def test_only_pages_of_the_allowed_origins_may_call() -> None:
    """As a browser decides: by the preflight's response, then by the response itself."""
    allowed = ["https://a.example.com", "https://b.example.com"]
    with local_stack("--model-delay", "0", "--config", f"api.cors_allow_origin={json.dumps(allowed)}") as stack:

        def shown(response: httpx.Response, origin: str) -> bool:
            return response.headers.get("access-control-allow-origin") in ("*", origin)

        for origin in (*allowed, "https://evil.example.com", "https://a.example.com.evil.example"):
            for header in ("origin", "Origin"):  # HTTP/2 has small letters
                asked = [(header, origin), ("Access-Control-Request-Method", "POST")]
                preflight = httpx.options(f"{stack.url}/chat", headers=asked, timeout=60)
                assert (preflight.status_code, preflight.headers["vary"]) == (204, "Origin")
                assert shown(preflight, origin) == (origin in allowed)
            answer = stack.post("/chat", {"message": "Hi"}, origin=origin)
            assert answer.status_code == (200 if origin in allowed else 403)  # the local run itself refuses a page of elsewhere
            assert shown(answer, origin) == (origin in allowed)
        # An error of API Gateway's own says nothing that is anybody's secret, and every page may see it.
        assert httpx.post(f"{stack.url}/chat", json={}, timeout=60).headers["access-control-allow-origin"] == "*"


@pytest.mark.assumes("usage-identifier")
def test_a_keys_rate_and_quota_are_told_apart() -> None:
    limits = ("api.throttle.rate_limit=0.1", "api.throttle.burst_limit=4", "api.daily_quota=3")
    with local_stack("--model-delay", "0", *(part for limit in limits for part in ("--config", limit))) as stack:
        answers = [stack.post("/chat", {"message": "x"}) for _ in range(5)]
        codes = [answer.json().get("error", {}).get("code") for answer in answers]
        assert codes == [None, None, None, "quota_exceeded", "rate_limit_exceeded"]
        assert [answer.status_code for answer in answers[3:]] == [429, 429]
        assert "GMT" in answers[3].headers["retry-after"] and int(answers[4].headers["retry-after"]) > 0
        assert httpx.get(f"{stack.url}/health", timeout=60).status_code == 200


@pytest.mark.assumes("path-parameter")
def test_a_key_sees_only_its_own_models() -> None:
    keys = json.dumps([{"name": "small", "tenant": "acme", "models": ["gpt-oss-20b"]}])
    with local_stack("--model-delay", "0", "--config", f"api.keys={keys}") as stack:
        listed = httpx.get(f"{stack.url}/v1/models", headers={"authorization": f"Bearer {stack.key}"}, timeout=60).json()
        assert [model["id"] for model in listed["data"]] == ["gpt-oss-20b"]
        known = {"authorization": f"Bearer {stack.key}"}
        assert httpx.get(f"{stack.url}/v1/models/gpt-oss-20b", headers=known, timeout=60).json() == listed["data"][0]
        unknown = httpx.get(f"{stack.url}/v1/models/openai.gpt-oss%2F20b-1:0", headers=known, timeout=60)
        assert unknown.json()["error"]["code"] == "model_not_found"
        assert "'openai.gpt-oss/20b-1:0'" in unknown.json()["error"]["message"]
        assert httpx.get(f"{stack.url}/v1/models/gpt-oss-20b", timeout=60).status_code == 401
        assert stack.post("/chat", {"message": "x"}).json()["model"] == "gpt-oss-20b"
        refused = stack.post("/chat", {"message": "x", "model": "deepseek-v3-2"})
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, "model_not_allowed")


# What may come of a request under a fault, besides the whole answer: (status, code) before an answer, the code within one.
FAULTS: dict[str, tuple[set[tuple[int, str]], set[str]]] = {
    "throttle:0.3": ({(429, "upstream_throttled")}, set()),
    "not-ready:0.5": ({(503, "model_not_ready")}, set()),
    "500:0.5": ({(502, "upstream_failed")}, set()),
    "cut-stream:0.5": ({(502, "upstream_failed"), (502, "stream_interrupted")}, {"stream_interrupted"}),
    "slow": (set(), set()),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_under_a_fault_every_answer_is_whole_or_a_typed_error(fault: str) -> None:
    before, within = FAULTS[fault]
    share = float(fault.partition(":")[2] or 1)
    with local_stack("--model-delay", "0", "--fault", fault, "--config", "api.throttle.burst_limit=100") as stack:
        count = 2 if fault == "slow" else 10
        outcomes = asyncio.run(_outcomes(stack, count))
    errors = [outcome for outcome in outcomes if outcome is not None]
    assert {outcome for outcome in errors if outcome not in before and outcome not in within} == set()
    if before | within:
        assert len(errors) <= round(share * len(outcomes))  # the others were asked again
        assert len(errors) == round(share * len(outcomes)) or not fault.startswith(
            "not-ready"
        )  # half a minute is too long for that
    else:
        assert not errors


async def _outcomes(stack: LocalStack, count: int) -> list[Any]:
    """What came of `count` whole and `count` streamed requests: None for a whole answer, else the error."""
    headers = {"x-api-key": stack.key}
    body = {"message": "Hello", "max_tokens": 20}
    async with httpx.AsyncClient(timeout=60, headers=headers) as client:

        async def whole() -> Any:
            answer = await client.post(f"{stack.url}/chat", json=body)
            if answer.status_code == 200:
                assert answer.json()["stop_reason"] == "max_tokens"
                return None
            return answer.status_code, answer.json()["error"]["code"]

        async def streamed() -> Any:
            answer = await client.post(f"{stack.url}/chat/stream", json=body)
            if answer.status_code != 200:
                return answer.status_code, answer.json()["error"]["code"]
            kind, data = events(answer.text.split("\n"))[-1][1:]
            assert kind in ("done", "error"), "a stream never ends silently"
            return None if kind == "done" else data["error"]["code"]

        return list(await asyncio.gather(*(call() for _ in range(count) for call in (whole, streamed))))


@pytest.mark.assumes("runs-on")
def test_a_caller_that_leaves_does_not_end_the_function() -> None:
    with local_stack("--model-delay", "0,0.01") as stack:
        headers = {"x-api-key": stack.key}
        with httpx.stream(
            "POST", stack.outputs["stream_url"], json={"message": "Hello"}, headers=headers, timeout=60
        ) as response:
            request_id = response.headers["x-request-id"]
            next(response.iter_raw())
        port = stack.url.split(":")[2].split("/")[0]
        log = cache_folder() / "local" / f"dev-{port}" / "chat-function.log"
        wait = threading.Event()
        for _ in range(6_000):
            lines = [json.loads(line) for line in log.read_text().splitlines() if request_id in line]
            if lines:
                break
            wait.wait(0.01)
        assert [line["gen_ai.response.finish_reasons"] for line in lines] == [["end_turn"]]


def test_a_function_that_dies_is_started_again(dev: LocalStack) -> None:
    assert dev.post("/chat", {"message": "x"}).status_code == 200
    for pid in descendants(dev.process.pid):
        if "llm_functions" in command_line(pid):
            os.kill(pid, signal.SIGKILL)
    answers = [dev.post("/chat", {"message": "x"}) for _ in range(2)]
    assert answers[-1].status_code == 200
    assert answers[0].status_code in (200, 502)


def test_a_killed_run_leaves_no_process_behind() -> None:
    with local_stack() as stack:
        left = descendants(stack.process.pid)
        assert len(left) >= 3
        stack.process.kill()
        stack.process.wait()
        gone = threading.Event()
        for _ in range(6_000):
            if not any(_alive(pid) for pid in left):
                gone.set()
                break
            gone.wait(0.01)
        assert gone.is_set()


def test_a_port_in_use_is_said(dev: LocalStack) -> None:
    port = dev.url.split(":")[2].split("/")[0]
    code, said = failed_start("--port", port)
    assert code == 1
    assert said.strip() == (
        f"port {port} on 127.0.0.1 cannot be used (Address already in use); name another with --port, or 0 for a free one"
    )


def test_a_wrong_configuration_lists_every_mistake() -> None:
    wrong = (
        "api.auht=api_key",
        "api.daily_quota=0",
        "api.log_retention_days=8",
        'models=["deepsek-v3-2"]',
        "aws:region=nowhere",
    )
    code, said = failed_start(*(part for setting in wrong for part in ("--config", setting)))
    assert code == 1
    assert "the configuration has 5 mistakes:" in said
    for place in ("api.auht", "api.daily_quota", "api.log_retention_days", "models[0]", "aws:region"):
        assert said.count(f"{place}:") == 1


OPTIONS = [
    (("--stack", "qa"), 1, "there is no stack 'qa'"),
    (("--fault", "flood"), 2, "--fault: "),
    (("--fault", "throttle:2"), 2, "--fault: "),
    (("--fault", "deepsek=throttle"), 1, "--fault: the stack calls no upstream 'deepsek'; it calls bedrock"),
    (("--fault", "dynamodb=stall"), 1, "--fault: dynamodb has the fault throttle alone, not stall"),
    (("--model-delay", "soon"), 2, "--model-delay: must be seconds"),
    (("--bedrock", "azure"), 2, "--bedrock: must be 'local' or 'aws'"),
    (("--bedrock", "aws", "--fault", "500"), 2, "have nothing to act on"),
    (("--model-url", "localhost:11434"), 2, "--model-url: must be an address"),
    (("--config", "api.daily_quota"), 2, "--config: must be KEY=VALUE"),
    (("--directory", "/nowhere"), 1, "there is no Pulumi.yaml in /nowhere"),
]


@pytest.mark.parametrize(("arguments", "code", "text"), OPTIONS, ids=[" ".join(o[0]) for o in OPTIONS])
def test_wrong_options(arguments: tuple[str, ...], code: int, text: str) -> None:
    got, said = failed_start(*arguments)
    assert got == code
    assert text in said


def test_somebody_elses_program_runs_and_what_is_not_played_is_listed(tmp_path: Path) -> None:
    (tmp_path / "Pulumi.yaml").write_text("name: other\nruntime: python\n")
    (tmp_path / "Pulumi.dev.yaml").write_text("config:\n  aws:region: us-west-2\n")
    (tmp_path / "__main__.py").write_text(
        "import pulumi, pulumi_aws as aws, pulumi_llm\n"
        "aws.sns.Topic('news')\n"
        "api = pulumi_llm.ServerlessBedrockApi('mine', {'models': [{'name': 'echo', 'model': 'mock'}], 'auth': 'none'})\n"
        "pulumi.export('api_gateway_url', api.url)\n"
    )
    done: list[str] = []
    with local_stack(directory=tmp_path) as stack:
        answer = httpx.post(f"{stack.url}/chat", json={"message": "to myself"}, timeout=60)
        assert answer.json()["message"] == "You said: to myself"
        assert stack.process.stderr is not None
        while "not played" not in (line := stack.process.stderr.readline()):
            done.append(line)
    assert "aws:sns/topic:Topic" in line


def _alive(pid: int) -> bool:
    return command_line(pid).strip() not in ("", "<defunct>") and "defunct" not in command_line(pid)
