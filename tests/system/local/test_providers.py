"""Every kind of provider behind the whole stack, as the command plays it: each answers, and where one fails another does."""

import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest

from system.local.conftest import LocalStack, events, failed_start, local_stack

ACCOUNT = "us-east-1:123456789012"
PROVIDERS = {
    "deepseek": {"type": "openai_compatible", "base_url": "https://api.deepseek.com"},
    "openai": {"type": "openai_compatible", "base_url": "https://api.openai.com/v1"},
    "claude": {"type": "anthropic"},
    "pool": {"type": "openai_compatible", "base_url": "https://llm.internal.example.com/v1"},
}
for name in ("deepseek", "openai", "claude"):
    PROVIDERS[name]["secret_arn"] = f"arn:aws:secretsmanager:{ACCOUNT}:secret:{name}-AbCdEf"

BOUNDS = {"context_tokens": 100_000, "max_output_tokens": 8_000}
TARGETS: dict[str, dict[str, Any]] = {
    "deepseek/deepseek-reasoner": {"provider": "deepseek", "model": "deepseek-reasoner", **BOUNDS},
    "openai/gpt-5-mini": {
        "provider": "openai",
        "model": "gpt-5-mini",
        "max_tokens_name": "max_completion_tokens",
        "accepts": ["max_tokens", "system", "tools", "stream_tools", "reasoning_effort"],
        **BOUNDS,
    },
    "claude/claude-sonnet-4-5": {"provider": "claude", "model": "claude-sonnet-4-5", **BOUNDS},
    "pool/qwen3-8b": {"provider": "pool", "model": "qwen3-8b", **BOUNDS},
    "bedrock/gpt-oss-20b": {"model": "gpt-oss-20b"},
    "bedrock/deepseek-r1-distill-qwen-7b": {
        "model": f"arn:aws:bedrock:{ACCOUNT}:imported-model/abcdef123456",
        "base_model": "deepseek-r1-distill-qwen-7b",
    },
}
# An alias a target, and one with all of them.
ALIASES = {name: name.replace("/", "-") for name in TARGETS}
MODELS = [
    {"name": "all", "targets": list(TARGETS.values())},
    *({"name": alias, "targets": [TARGETS[name]]} for name, alias in ALIASES.items()),
]
SETTINGS = (
    *("--model-delay", "0"),
    *("--config", f"providers={json.dumps(PROVIDERS)}", "--config", f"models={json.dumps(MODELS)}"),
    *("--config", 'api.throttle={"rate_limit": 1000, "burst_limit": 1000}'),
)
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


@pytest.fixture(scope="module")
def stack() -> Iterator[LocalStack]:
    with local_stack(*SETTINGS) as running:
        yield running


@pytest.mark.parametrize("target", TARGETS)
def test_each_answers_whole_and_streamed(stack: LocalStack, target: str) -> None:
    body = {"message": "Hello", "model": ALIASES[target]}
    whole = stack.post("/chat", body)
    assert (whole.status_code, whole.headers["x-llm-target"]) == (200, target)
    assert "first_token;dur=" in whole.headers["server-timing"]
    streamed = events(stack.post("/chat/stream", body).text.splitlines())
    assert streamed[0][2]["target"] == target and streamed[-1][1] == "done"
    text = "".join(data["text"] for _, kind, data in streamed if kind == "delta")
    assert text == whole.json()["message"] and "Hello" in text
    reasons = any(word in target for word in ("reasoner", "r1", "gpt-oss"))
    assert ("reasoning" in whole.json()) == reasons
    assert streamed[-2][2] == {"type": "usage", **whole.json()["usage"]}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("target", [target for target in TARGETS if "r1" not in target and "reasoner" not in target])
def test_each_calls_tools(stack: LocalStack, target: str, stream: bool) -> None:
    client = openai.OpenAI(base_url=f"{stack.url}/v1", api_key=stack.key, max_retries=0)
    asked: dict[str, Any] = {
        "model": ALIASES[target],
        "messages": [{"role": "user", "content": "Weather in Oslo?"}],
        "tools": [WEATHER],
    }
    if stream:
        with client.chat.completions.stream(**asked) as answer:
            completion = answer.get_final_completion()
    else:
        completion = client.chat.completions.create(**asked)
    (choice,) = completion.choices
    assert choice.finish_reason == "tool_calls"
    assert choice.message.tool_calls
    (call,) = choice.message.tool_calls
    assert isinstance(json.loads(call.function.arguments)["city"], str)
    result = {"role": "tool", "tool_call_id": call.id, "content": "7 degrees, rain"}
    said = {"role": "assistant", "content": None, "tool_calls": [call.model_dump()]}
    followed = client.chat.completions.create(**{**asked, "messages": [*asked["messages"], said, result]})
    assert "7 degrees" in (followed.choices[0].message.content or "")


# What goes wrong in every target but the last; the answer is the last one's all the same.
FAULTS = {
    "deepseek": "throttle",
    "openai": "bad-key",
    "claude": "html",
    "pool": "context",
    "bedrock": "500:0.5",  # of its two targets the first
}


def test_before_the_first_token_the_next_target_answers() -> None:
    faults = [argument for name, fault in FAULTS.items() for argument in ("--fault", f"{name}={fault}")]
    with local_stack(*SETTINGS, *faults) as stack:
        answered = [stack.post("/chat", {"message": "Hello", "model": "all"}) for _ in range(3)]
        assert [response.status_code for response in answered] == [200] * 3
        assert {response.headers["x-llm-target"].partition("/")[0] for response in answered} == {"bedrock"}
        streamed = events(stack.post("/chat/stream", {"message": "Hello", "model": "all"}).text.splitlines())
        assert streamed[0][1] == "start" and streamed[-1][1] == "done"


def test_after_the_first_token_a_failure_is_told() -> None:
    with local_stack(*SETTINGS, "--fault", "deepseek=cut-stream") as stack:
        streamed = events(stack.post("/chat/stream", {"message": "Hello", "model": "all"}).text.splitlines())
        assert streamed[0][2]["target"] == "deepseek/deepseek-reasoner"
        assert streamed[-1][1] == "error" and streamed[-1][2]["error"]["code"] == "stream_interrupted"
        # A whole answer has given nothing away yet.
        whole = stack.post("/chat", {"message": "Hello", "model": "all"})
        assert (whole.status_code, whole.headers["x-llm-target"]) == (200, "openai/gpt-5-mini")


def test_where_all_fail_each_is_named_with_its_reason() -> None:
    with local_stack(*SETTINGS, "--fault", "throttle", "--fault", "pool=bad-key") as stack:
        response = stack.post("/chat", {"message": "Hello", "model": "all"})
        error = response.json()["error"]
        assert error["code"] == "all_targets_failed"
        assert all(f"{target}: upstream_" in error["message"] for target in TARGETS), error["message"]
        assert int(response.headers["retry-after"]) >= 1


def test_a_provider_that_the_stack_does_not_call_is_told() -> None:
    code, said = failed_start(*SETTINGS, "--fault", "claud=throttle")
    assert code == 1
    assert "the stack calls no upstream 'claud'; it calls bedrock, claude, deepseek, openai, pool" in said
