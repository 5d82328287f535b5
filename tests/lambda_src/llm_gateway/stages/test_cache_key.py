"""The key of a cached answer: the same for requests that mean the same, another one for each that differs."""

from collections.abc import Iterator, Mapping
from typing import Any

import hypothesis.strategies as st
import msgspec
import pytest
from hypothesis import given, settings

from llm_gateway.answer_cache import AnswerCache
from llm_gateway.aws.dynamodb import DynamoDB
from llm_gateway.identity.caller import ANONYMOUS, Caller
from llm_gateway.request import (
    ChatRequest,
    Media,
    Message,
    ReasoningBlock,
    ResponseFormat,
    Sampling,
    Tool,
    ToolChoice,
    ToolUse,
)
from llm_gateway.routes import Alias, Endpoint, Routes, Target
from llm_gateway.safety import Filter, GuardrailUse, Safety
from llm_gateway.stages.cache import Cache
from llm_gateway.stages.cache_key import cache_key

TARGET = Target("bedrock/a", "bedrock", "a", 100, 1000, ("temperature",), temperature_max=0.9)
ALIAS = Alias("chat", (TARGET,), retries=1)
# Every field has a value that is not its default.
MESSAGE = Message(
    "assistant",
    "text",
    (ToolUse("call", "look", {"at": [1, {"b": "it"}]}, "cut"),),
    "result",
    "thought",
    "messages[0]",
    ("part", Media("image", "image/png", "data", "https://example.com", "name", "high")),
    (ReasoningBlock("text", "signature", "data"),),
    True,
    ("text", ReasoningBlock("text", "signature", "data"), 0),
    True,
)
TOOL = Tool("look", "looks", {"type": "object", "properties": {"at": {"type": "string"}}}, True, "1h", {"type": "bash"})
SAMPLING = Sampling(10, 0.5, 0.25, ("stop",), "low")
REQUEST = ChatRequest(
    messages=(MESSAGE,),
    model="chat",
    system="be kind",
    default_system="be brief",
    sampling=SAMPLING,
    defaults=SAMPLING,
    tools=(TOOL,),
    tool_choice=ToolChoice("tool", "look"),
    stream=True,
    exact=True,
    names={"system": "system_prompt"},
    response_format=ResponseFormat("json_schema", "name", "description", {"type": "object"}, True),
    parallel_tool_calls=False,
    rare={"logprobs": True, "top_logprobs": 2, "logit_bias": {"1": 2}},
    hints={
        "seed": 1,
        "user": "ada",
        "metadata": {"a": "b"},
        "service_tier": "flex",
        "prompt_cache_key": "k",
        "prompt_cache_options": {"ttl": "1h"},
        "prompt_cache_retention": "24h",
        "safety_identifier": "ada",
        "verbosity": "low",
        "prediction": {"type": "content", "content": "x"},
    },
    cache_system=True,
    thinking={"type": "enabled", "budget_tokens": 5},
)
# What says nothing of an answer, by where it stands in the request.
NOT_MEANT = {
    "model",
    "stream",
    "cache_system",
    "names.system",
    "messages[0].place",
    "messages[0].cache",
    "tools[0].cache",
    "hints.metadata.a",
    "hints.service_tier",
    "hints.prompt_cache_key",
    "hints.prompt_cache_options.ttl",
    "hints.prompt_cache_retention",
}


def key(request: ChatRequest, tenant: str = "acme", alias: Alias = ALIAS) -> str:
    return cache_key("version", tenant, alias, request)


def changed(value: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """Yield each value that differs in one place, with the place."""
    match value:
        case msgspec.Struct():
            for name in value.__struct_fields__:
                for at, other in changed(getattr(value, name), f"{place}.{name}".lstrip(".")):
                    yield at, msgspec.structs.replace(value, **{name: other})
        case tuple() | list():
            items: list[Any] = [*value]
            for index, item in enumerate(items):
                for at, other in changed(item, f"{place}[{index}]"):
                    yield at, type(value)([*items[:index], other, *items[index + 1 :]])  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
            yield f"{place}[]", value[:-1]
        case dict():
            mapping: dict[str, Any] = value  # pyright: ignore[reportUnknownVariableType]
            for name, item in mapping.items():
                for at, other in changed(item, f"{place}.{name}"):
                    yield at, {**mapping, name: other}
        case bool():
            yield place, not value
        case int() | float():
            yield place, value + 1
        case str():
            yield place, value + "x"
        case _:
            raise AssertionError(f"{place} has its default, {value!r}")


CHANGED = dict(changed(REQUEST))


@pytest.mark.parametrize("place", CHANGED)
def test_what_changes_the_key(place: str) -> None:
    assert (key(CHANGED[place]) == key(REQUEST)) == (place in NOT_MEANT)


def test_every_field_is_looked_at() -> None:
    """A new one is in the key unless it is named above."""
    assert CHANGED.keys() >= NOT_MEANT
    for struct in (REQUEST, MESSAGE, TOOL, SAMPLING, REQUEST.response_format, MESSAGE.tool_calls[0], MESSAGE.parts[1]):
        assert isinstance(struct, msgspec.Struct)
        for field in msgspec.structs.fields(struct):
            assert getattr(struct, field.name) not in (field.default, None, (), {}), field.name


ALIASES: dict[str, Alias] = {
    "another one": msgspec.structs.replace(ALIAS, name="other"),
    "a lower bound": msgspec.structs.replace(ALIAS, targets=(msgspec.structs.replace(TARGET, max_output_tokens=9),)),
    "another model": msgspec.structs.replace(ALIAS, targets=(msgspec.structs.replace(TARGET, model="b"),)),
    "one target more": msgspec.structs.replace(ALIAS, targets=(TARGET, msgspec.structs.replace(TARGET, name="b"))),
    "another default": msgspec.structs.replace(ALIAS, default_max_tokens=9),
}


@pytest.mark.parametrize("alias", ALIASES.values(), ids=ALIASES)
def test_what_the_rules_leave_of_an_alias_is_in_the_key(alias: Alias) -> None:
    assert key(REQUEST, alias=alias) != key(REQUEST)


def test_tenants_have_keys_of_their_own() -> None:
    assert len({key(REQUEST, tenant) for tenant in ("acme", "acm", "e", "")}) == 4


_json = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=12,
)
_objects = st.dictionaries(st.text(max_size=3), _json, max_size=4)
_texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
_numbers = st.none() | st.integers(0, 2) | st.floats(0, 2)


@st.composite
def _request(draw: st.DrawFn) -> ChatRequest:
    use = ToolUse("1", "t", draw(_objects))
    turns = [Message("user", text) for text in draw(st.lists(_texts, max_size=3))]
    return ChatRequest(
        (*turns, Message("assistant", tool_calls=(use,)), Message("tool", "r", tool_call_id="1")),
        tools=(Tool("t", "", draw(_objects)),),
        sampling=Sampling(temperature=draw(_numbers), top_p=draw(_numbers)),
    )


def turned(value: Any) -> Any:
    """The same JSON, with its fields the other way round."""
    if isinstance(value, Mapping):
        fields: list[tuple[str, Any]] = list(value.items())  # pyright: ignore[reportUnknownArgumentType]
        return {name: turned(item) for name, item in reversed(fields)}
    return [turned(item) for item in value] if isinstance(value, list) else value  # pyright: ignore[reportUnknownVariableType]


@given(_request())
@settings(max_examples=200, deadline=None)
def test_the_same_in_other_words_has_the_same_key(request: ChatRequest) -> None:
    messages = list(request.messages)
    (use,) = messages[-2].tool_calls
    messages[-2] = Message("assistant", tool_calls=(msgspec.structs.replace(use, arguments=turned(use.arguments)),))
    numbers = {
        name: float(value) for name in ("temperature", "top_p") if (value := getattr(request.sampling, name)) is not None
    }
    other = msgspec.structs.replace(
        request,
        messages=tuple(msgspec.structs.replace(each, place="elsewhere", cache="1h") for each in messages),
        tools=tuple(msgspec.structs.replace(each, parameters=turned(each.parameters)) for each in request.tools),
        sampling=msgspec.structs.replace(request.sampling, **numbers),
        stream=True,
        names={"a": "b"},
        hints={"metadata": {"trace": "7"}},
    )
    assert key(other) == key(request)


@given(_request(), _request())
@settings(max_examples=200, deadline=None)
def test_others_have_other_keys(one: ChatRequest, other: ChatRequest) -> None:
    same = msgspec.json.encode(one, order="sorted") == msgspec.json.encode(other, order="sorted")
    assert not same or key(one) == key(other)
    if one != other:
        assert key(one) != key(other)


# The deployment.

ROUTES = Routes((ALIAS,), (Endpoint("p", "anthropic", base_url="https://p.example.com"),))
DEPLOYMENTS: dict[str, tuple[Routes, list[str]]] = {
    "as it was": (ROUTES, []),
    "another provider's address": (
        msgspec.structs.replace(ROUTES, endpoints=(Endpoint("p", "anthropic", base_url="https://q.example.com"),)),
        [],
    ),
    "a filter": (msgspec.structs.replace(ROUTES, safety=Safety((Filter("injection"),))), []),
    "a guardrail": (msgspec.structs.replace(ROUTES, safety=Safety((), GuardrailUse())), ["arn", "1"]),
    "its next version": (msgspec.structs.replace(ROUTES, safety=Safety((), GuardrailUse())), ["arn", "2"]),
    "in shadow mode": (msgspec.structs.replace(ROUTES, safety=Safety((), GuardrailUse(shadow=True))), ["arn", "2"]),
}


async def test_a_deployment_has_keys_of_its_own() -> None:
    dynamodb = DynamoDB.__new__(DynamoDB)

    def of(routes: Routes, guardrail: list[str], caller: Caller = ANONYMOUS) -> str:
        cached = Cache(dynamodb, "table", AnswerCache(60), guardrail, lambda text: None)
        return cached.lookup(REQUEST, ALIAS, routes, caller, "run", 0.0, "")._key()  # pyright: ignore[reportPrivateUsage]

    keys = {name: of(*deployment) for name, deployment in DEPLOYMENTS.items()}
    assert len(set(keys.values())) == len(DEPLOYMENTS)
    # Other routes, limits and metrics change nothing.
    more = msgspec.structs.replace(ROUTES, aliases=(ALIAS, Alias("other", (TARGET,))), cache=AnswerCache(7))
    assert of(more, []) == keys["as it was"]
    assert of(ROUTES, [], Caller("acme", "a")) == of(ROUTES, [], Caller("acme", "b")) != keys["as it was"]
