"""From a request to what a target is sent."""

from typing import Any

import msgspec
import pytest

from llm_functions.api_formats import openai_chat as openai_api
from llm_gateway.call import model_call
from llm_gateway.errors import GatewayError
from llm_gateway.providers.openai import chat_completions
from llm_gateway.request import ChatRequest, Message, Sampling, ToolUse
from llm_gateway.routes import Alias, Target
from support.chat_requests import HI, PAIR, SAMPLING, TOOL, request, sent, target

# target, explicit -> what is sent
SAMPLED: dict[str, tuple[Target, Sampling, Sampling]] = {
    "defaults": (target(), Sampling(), Sampling(1000, 0.7, 0.9)),
    "explicit values": (target(), Sampling(5, 0.1, 0.2, ("a",)), Sampling(5, 0.1, 0.2, ("a",))),
    "zeros are explicit": (target(), Sampling(temperature=0.0, top_p=0.0), Sampling(1000, 0.0, 0.0)),
    "none is taken": (target(("max_tokens",)), Sampling(), Sampling(1000)),
    "temperature is not taken": (target(("max_tokens", "top_p")), Sampling(), Sampling(1000, None, 0.9)),
    "the default is above the model's tokens": (target(max_output_tokens=10), Sampling(), Sampling(10, 0.7, 0.9)),
    "the default is above the model's temperature": (target(temperature_max=0.5), Sampling(), Sampling(1000, 0.5, 0.9)),
    "exclusive: the first default": (target(exclusive=PAIR), Sampling(), Sampling(1000, 0.7)),
    "exclusive: in the target's order": (target(exclusive=PAIR[::-1]), Sampling(), Sampling(1000, None, 0.9)),
    "exclusive: explicit temperature": (target(exclusive=PAIR), Sampling(temperature=0.1), Sampling(1000, 0.1)),
    "exclusive: explicit top_p": (target(exclusive=PAIR), Sampling(top_p=0.1), Sampling(1000, None, 0.1)),
    "exclusive: explicit zero": (target(exclusive=PAIR), Sampling(top_p=0.0), Sampling(1000, None, 0.0)),
}


@pytest.mark.parametrize(("to", "explicit", "expected"), SAMPLED.values(), ids=SAMPLED)
def test_sampling(to: Target, explicit: Sampling, expected: Sampling) -> None:
    assert sent(request(explicit), to).sampling == expected


def test_without_any_default_the_aliass_is_sent_within_the_models_own_bound() -> None:
    for most, expected in ((4096, 4096), (20_000, 16_384)):
        to = msgspec.structs.replace(target(max_output_tokens=most), context_tokens=100_000)
        assert sent(request(defaults=Sampling()), to).sampling == Sampling(expected)
    own = Alias("an-alias", (target(),), default_max_tokens=5)
    assert model_call(request(defaults=Sampling()), own, target(), deadline=0.0).sampling == Sampling(5)


# What clients send although it changes nothing, and what a target is sent of it.
NEUTRAL: dict[str, tuple[Target, Sampling, Sampling]] = {
    "not taken": (target(("max_tokens",)), Sampling(temperature=1.0, top_p=1.0), Sampling(4096)),
    "taken": (target(), Sampling(temperature=1.0, top_p=1.0), Sampling(4096, 1.0, 1.0)),
    "the one beside another value": (target(exclusive=PAIR), Sampling(temperature=0.5, top_p=1.0), Sampling(4096, 0.5)),
    "the other": (target(exclusive=PAIR), Sampling(temperature=1.0, top_p=0.5), Sampling(4096, None, 0.5)),
    "both of a pair": (target(exclusive=PAIR), Sampling(temperature=1.0, top_p=1.0), Sampling(4096, None, 1.0)),
    "alone of a pair": (target(exclusive=PAIR), Sampling(temperature=1.0), Sampling(4096, 1.0)),
}


@pytest.mark.parametrize(("to", "explicit", "expected"), NEUTRAL.values(), ids=NEUTRAL)
def test_a_neutral_value_is_no_parameter_where_it_is_not_taken(to: Target, explicit: Sampling, expected: Sampling) -> None:
    assert sent(request(explicit, defaults=Sampling()), to).sampling == expected


def test_hints_go_to_a_target_that_knows_them_and_are_named_for_others() -> None:
    said = request(hints={"seed": 1, "user": "ada"})
    for accepts, hints, dropped in (((), {}, ("seed", "user")), (("seed",), {"seed": 1}, ("user",))):
        call = sent(said, target((*SAMPLING, *accepts)))
        assert (call.hints, call.dropped) == (hints, dropped)


def test_rare_parameters_go_to_a_target_that_takes_them() -> None:
    rare = {"logprobs": True, "top_logprobs": 2, "presence_penalty": 0.5}
    assert sent(request(rare=rare), target((*SAMPLING, "logprobs", "presence_penalty"))).rare == rare


# target, parameters, what is said of thinking -> what is sent, and what is named as left out
EFFORT = (*SAMPLING, "reasoning_effort")
CLAUDE = msgspec.structs.replace(target(EFFORT), name="claude-sonnet-4-6")
ENABLED = {"type": "enabled", "budget_tokens": 2000}
LEFT_OUT: dict[str, tuple[Target, Sampling, dict[str, Any], Sampling, tuple[str, ...]]] = {
    "not accepted": (target(("max_tokens",)), Sampling(5, 0.0, 0.2), {}, Sampling(5), ("temperature", "top_p")),
    "accepted": (target(), Sampling(5, 0.0, 0.2), {}, Sampling(5, 0.0, 0.2), ()),
    "a neutral value is not named": (target(("max_tokens",)), Sampling(5, 1.0), {}, Sampling(5), ()),
    "both of a pair": (target(exclusive=PAIR), Sampling(5, 0.1, 0.2), {}, Sampling(5, 0.1), ("top_p",)),
    "an effort": (target(), Sampling(5, reasoning_effort="low"), {}, Sampling(5), ("reasoning_effort",)),
    "no effort": (target(), Sampling(5, reasoning_effort="none"), {}, Sampling(5), ()),
    "while Claude thinks": (
        *(CLAUDE, Sampling(5, 0.0, 0.9, (), "low"), {}),
        *(Sampling(5, reasoning_effort="low"), ("temperature", "top_p")),
    ),
    "while Claude thinks, in Anthropic's words": (CLAUDE, Sampling(5, 0.5), ENABLED, Sampling(5), ("temperature",)),
    "a large top_p while Claude thinks": (CLAUDE, Sampling(5, None, 0.96), ENABLED, Sampling(5, None, 0.96), ()),
    "Claude does not think": (CLAUDE, Sampling(5, 0.5), {"type": "disabled"}, Sampling(5, 0.5), ()),
    "no effort of Claude": (CLAUDE, Sampling(5, 0.5, None, (), "none"), {}, Sampling(5, 0.5, None, (), "none"), ()),
    "another model that thinks": (
        *(target(EFFORT), Sampling(5, 0.5, None, (), "low"), {}),
        *(Sampling(5, 0.5, None, (), "low"), ()),
    ),
    "more tokens than the model's": (target(max_output_tokens=10), Sampling(11), {}, Sampling(10), ()),
}


@pytest.mark.parametrize(("to", "given", "thinking", "expected", "named"), LEFT_OUT.values(), ids=LEFT_OUT)
def test_what_frameworks_send_whatever_the_model_takes(
    to: Target, given: Sampling, thinking: dict[str, Any], expected: Sampling, named: tuple[str, ...]
) -> None:
    call = sent(request(given, defaults=Sampling(), thinking=thinking), to)
    assert (call.sampling, call.dropped) == (expected, named)


def test_a_budget_of_thinking_is_lowered_with_the_bound() -> None:
    """Else nothing would be left for the answer."""
    for wanted, expected in ((32_000, 500), (1000, 2000)):
        said = request(Sampling(wanted), defaults=Sampling(), thinking=ENABLED)
        to = msgspec.structs.replace(CLAUDE, max_output_tokens=8000)
        assert sent(said, to).thinking == {**ENABLED, "budget_tokens": expected}


def test_what_is_left_out_is_named_as_the_caller_names_it_and_beside_the_hints() -> None:
    names = {"reasoning_effort": "reasoning.effort"}
    said = request(Sampling(reasoning_effort="low"), names=names, hints={"seed": 1})
    assert sent(said, target()).dropped == ("reasoning.effort", "seed")


# a target's context, the characters of the message, the bound that is given -> the bound that is sent
ROOM: dict[str, tuple[int, int, int | None, int]] = {
    "by default the alias's": (100_000, 0, None, 16_384),
    "by default what there is room for": (16_384, 8_000, None, 16_384 - 2_500),
    "a bound that there is room for": (16_384, 8_000, 13_000, 13_000),
    "a bound that there is not room for": (16_384, 8_000, 16_000, 16_384 - 2_500),
    "no room: the target says so itself": (16_384, 80_000, None, 1024),
    "a small bound is left": (16_384, 80_000, 500, 500),
}


@pytest.mark.parametrize(("context", "characters", "given", "expected"), ROOM.values(), ids=ROOM)
def test_an_answer_has_the_room_that_the_conversation_leaves(
    context: int, characters: int, given: int | None, expected: int
) -> None:
    """VLLM refuses a request whose prompt and bound are more than its context."""
    to = msgspec.structs.replace(target(max_output_tokens=context), context_tokens=context)
    said = request(Sampling(given), defaults=Sampling(), messages=(Message("user", "a" * characters),))
    assert sent(said, to).sampling.max_tokens == expected


# target, request -> the fields that are wrong
REFUSED: dict[str, tuple[Target, ChatRequest, list[str]]] = {
    "too many tokens": (target(max_output_tokens=10), request(Sampling(11)), ["max_tokens"]),
    "too hot": (target(temperature_max=0.5), request(Sampling(temperature=0.6)), ["temperature"]),
    "all not taken": (
        target(("max_tokens",), max_output_tokens=1),
        request(Sampling(2, 0.0, 0.0, ("a",)), system="", tools=(TOOL,)),
        ["max_tokens", "temperature", "top_p", "tools", "system"],
    ),
    "both of a pair": (target(exclusive=PAIR), request(Sampling(temperature=0.1, top_p=0.1)), ["top_p"]),
    "tools": (target(), request(tools=(TOOL,)), ["tools"]),
    "rare parameters": (
        target((*SAMPLING, "logprobs")),
        request(rare={"logprobs": True, "top_logprobs": 2, "presence_penalty": 0.5, "logit_bias": {"1": 5}}),
        ["presence_penalty", "logit_bias"],
    ),
    "earlier calls": (
        target(),
        request(messages=(*HI, Message("assistant", tool_calls=(ToolUse("c", "t", {}),)), Message("tool", "1", (), "c"))),
        ["tools"],
    ),
}


@pytest.mark.parametrize(("to", "said", "fields"), REFUSED.values(), ids=REFUSED)
def test_what_a_target_does_not_take_is_told_at_once(to: Target, said: ChatRequest, fields: list[str]) -> None:
    with pytest.raises(GatewayError) as refused:
        sent(msgspec.structs.replace(said, exact=True), to)
    assert (refused.value.status, refused.value.param) == (400, fields[0])
    assert [problem.partition(": ")[0] for problem in refused.value.message.split("; ") if ": " in problem] == fields


@pytest.mark.parametrize(("accepts", "kept"), [((), False), (("reasoning_content",), True)])
def test_earlier_reasoning_is_sent_back_to_a_target_that_takes_it(accepts: Any, kept: bool) -> None:
    answer = {"role": "assistant", "content": "Hi.", "reasoning_content": "They greet."}
    body = {"model": "a", "messages": [{"role": "user", "content": "Hi"}, answer, {"role": "user", "content": "And?"}]}
    said, _ = openai_api.parse(body)
    (_, turn, _) = chat_completions.body(sent(said, target((*SAMPLING, *accepts))))["messages"]
    assert turn == (answer if kept else {"role": "assistant", "content": "Hi."})


_TEXT: Any = {"type": "string"}
_CLOSED: Any = {"type": "object", "properties": {"a": _TEXT}, "required": ["a"], "additionalProperties": False}


@pytest.mark.parametrize(
    ("schema", "strict"),
    [
        (_CLOSED, True),
        ({**_CLOSED, "properties": {"a": {"$ref": "#/$defs/b"}}, "$defs": {"b": _CLOSED}}, True),
        ({**_CLOSED, "properties": {"a": {"type": "array", "items": _CLOSED}}}, True),
        ({**_CLOSED, "properties": {"a": _TEXT, "b": _TEXT}}, False),
        ({"type": "object", "properties": {"a": _TEXT}, "required": ["a"]}, False),
        ({**_CLOSED, "properties": {"a": {"anyOf": [{**_CLOSED, "required": []}, {"type": "null"}]}}}, False),
        ({**_CLOSED, "$defs": {"b": {"type": "object"}}}, False),
    ],
)
def test_openais_strict_mode_gets_schemas_that_it_takes(schema: Any, strict: bool) -> None:
    """Anthropic's format allows optional properties; OpenAI refuses such a schema in its strict mode."""
    form = {"type": "json_schema", "json_schema": {"name": "a", "schema": schema, "strict": True}}
    function = {"name": "a", "parameters": schema, "strict": True}
    body = {
        "model": "a",
        "messages": [{"role": "user", "content": "Hi"}],
        "tools": [{"type": "function", "function": function}],
    }
    said, _ = openai_api.parse({**body, "response_format": form})
    call = sent(said, target((*SAMPLING, "tools", "json_schema", "strict_tools")))
    written = chat_completions.body(msgspec.structs.replace(call, response_format=said.response_format))
    assert written["response_format"]["json_schema"]["strict"] is strict
    assert written["tools"][0]["function"].get("strict", False) is strict


@pytest.mark.parametrize(("strategy", "accepts", "sent"), [("workload", (), None), ("priority", ("reasoning_effort",), "high")])
def test_a_reasoning_effort_chooses_a_target_that_need_not_take_it(strategy: Any, accepts: Any, sent: str | None) -> None:
    to = target((*SAMPLING, *accepts))
    call = model_call(request(Sampling(reasoning_effort="high")), Alias("a", (to,), strategy=strategy), to, 0.0)
    assert call.sampling.reasoning_effort == sent


@pytest.mark.parametrize(("accepts", "sent"), [((), None), (("reasoning_effort",), "low")])
def test_a_default_of_the_reasoning_effort_is_sent_to_a_model_that_takes_it(accepts: Any, sent: str | None) -> None:
    asked = request(defaults=Sampling(reasoning_effort="low"))
    to = target(accepts)
    assert model_call(asked, Alias("a", (to,)), to, 0.0).sampling.reasoning_effort == sent


@pytest.mark.parametrize(
    ("accepts", "said", "system"),
    [
        (SAMPLING, request(), "Default."),
        (SAMPLING, request(system="Mine."), "Mine."),
        (SAMPLING, request(system=""), ""),
        (("max_tokens",), request(), None),
        (SAMPLING, request(default_system=None), None),
    ],
)
def test_the_system_prompt(accepts: Any, said: ChatRequest, system: str | None) -> None:
    assert sent(said, target(accepts)).system == system


@pytest.mark.parametrize(
    ("accepts", "stream", "tools", "streamed"),
    [
        ((), True, (), True),
        ((), False, (), False),
        (("tools",), True, (TOOL,), False),
        (("tools", "stream_tools"), True, (TOOL,), True),
        (("tools", "stream_tools"), False, (TOOL,), False),
    ],
)
def test_whether_the_provider_streams(accepts: Any, stream: bool, tools: Any, streamed: bool) -> None:
    assert sent(request(stream=stream, tools=tools), target((*SAMPLING, *accepts))).stream is streamed


def test_a_history_with_calls_is_tools_too() -> None:
    """Its tools are declared (toolConfig), and that is what such a model refuses in ConverseStream."""
    messages = (*HI, Message("assistant", tool_calls=(ToolUse("c", "t", {}),)), Message("tool", "1", (), "c"))
    assert not sent(request(stream=True, messages=messages), target((*SAMPLING, "tools"))).stream
