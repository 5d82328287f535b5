"""System messages between the turns of a conversation: where each target gets them."""

from collections.abc import Iterator
from typing import Any

import pytest

from llm_functions.api_formats import openai_chat
from llm_functions.api_formats.anthropic_messages import request as anthropic_messages
from llm_functions.api_formats.openai_responses import request as openai_responses
from llm_gateway.call import ModelCall
from llm_gateway.providers.anthropic.dialect import Anthropic
from llm_gateway.providers.bedrock.converse import Converse
from llm_gateway.providers.openai import chat_completions
from llm_gateway.request import Message
from llm_gateway.stages.validate import conversation_problems
from pulumi_llm_local.upstreams.anthropic.request import read_messages
from pulumi_llm_local.upstreams.bedrock.converse_request import read_converse
from pulumi_llm_local.upstreams.model import ModelTraits
from support.chat_requests import SAMPLING, request, sent, target
from wire.speaker import dumped

ACCEPTS = (*SAMPLING, "tools", "stream_tools", "prompt_caching")
BRIEF, LATE = {"role": "system", "content": "Be brief."}, {"role": "system", "content": "It is late."}
ONE, TWO = {"role": "user", "content": "One"}, {"role": "user", "content": "Two"}
YES = {"role": "assistant", "content": "Yes"}
CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
CALLED = {"role": "assistant", "content": None, "tool_calls": [CALL]}
RESULT = {"role": "tool", "tool_call_id": "c1", "content": "1"}
MARKED = "<system-reminder>\nIt is late.\n</system-reminder>"


def calls_of(messages: list[Any]) -> Iterator[ModelCall]:
    """The call of a target without system messages in the conversation, and of one that has them."""
    parsed, _ = openai_chat.parse({"model": "a", "messages": messages})
    assert parsed.system == "Be brief." and conversation_problems(parsed.messages) == []
    yield sent(parsed, target(ACCEPTS))
    yield sent(parsed, target((*ACCEPTS, "system_messages")))


def turns(body: Any) -> list[tuple[str, ...]]:
    """The first letter of each turn's role, and its texts; `=` stands for calls and results."""
    found: list[tuple[str, ...]] = []
    for message in body["messages"]:
        content = message["content"]
        blocks = content if isinstance(content, list) else [{"text": content or "="}]
        found.append((message["role"][0], *(block.get("text", "=") for block in blocks)))
    return found


B = ("s", "Be brief.")
# the messages after the first -> what OpenAI is sent, other servers in its format, Converse, Claude where it takes them
PLACES: dict[str, tuple[list[Any], list[Any], list[Any], list[Any], list[Any]]] = {
    "before a user's turn": (
        [ONE, YES, LATE, TWO],
        [B, ("u", "One"), ("a", "Yes"), ("s", "It is late."), ("u", "Two")],
        [B, ("u", "One"), ("a", "Yes"), ("u", f"{MARKED}\n\nTwo")],
        [("u", "One"), ("a", "Yes"), ("u", f"{MARKED}\n\nTwo")],
        [("u", "One"), ("a", "Yes"), ("u", "Two"), ("s", "It is late.")],
    ),
    "after one": (
        [ONE, LATE],
        [B, ("u", "One"), ("s", "It is late.")],
        [B, ("u", f"One\n\n{MARKED}")],
        [("u", f"One\n\n{MARKED}")],
        [("u", "One"), ("s", "It is late.")],
    ),
    "after an answer": (
        [ONE, YES, LATE],
        [B, ("u", "One"), ("a", "Yes"), ("s", "It is late.")],
        [B, ("u", "One"), ("a", "Yes"), ("u", MARKED)],
        [("u", "One"), ("a", "Yes"), ("u", MARKED)],
        [("u", "One"), ("a", "Yes"), ("u", MARKED)],
    ),
    "several": (
        [ONE, LATE, LATE, YES, TWO],
        [B, ("u", "One"), ("s", "It is late."), ("s", "It is late."), ("a", "Yes"), ("u", "Two")],
        [B, ("u", f"One\n\n{MARKED}\n\n{MARKED}"), ("a", "Yes"), ("u", "Two")],
        [("u", f"One\n\n{MARKED}\n\n{MARKED}"), ("a", "Yes"), ("u", "Two")],
        [("u", "One"), ("s", "It is late.", "It is late."), ("a", "Yes"), ("u", "Two")],
    ),
    "between a call and its result": (
        [ONE, CALLED, LATE, RESULT],
        [B, ("u", "One"), ("a", "="), ("t", "1"), ("s", "It is late.")],
        [B, ("u", "One"), ("a", "="), ("t", "1"), ("u", MARKED)],
        [("u", "One"), ("a", "="), ("u", "=", MARKED)],
        [("u", "One"), ("a", "="), ("u", "="), ("s", "It is late.")],
    ),
    "an empty one": (
        [ONE, {**LATE, "content": " "}],
        *([B, ("u", "One")],) * 2,
        *([("u", "One")],) * 2,
    ),
}


@pytest.mark.parametrize(("messages", "openai", "compatible", "converse", "claude"), PLACES.values(), ids=PLACES)
def test_a_system_message_keeps_its_place(messages: Any, openai: Any, compatible: Any, converse: Any, claude: Any) -> None:
    plain, able = calls_of([BRIEF, *messages])
    assert turns(chat_completions.body(able)) == openai
    assert turns(chat_completions.body(plain)) == compatible
    body = Converse().body(plain)
    assert turns(body) == converse and body["system"] == [{"text": "Be brief."}]
    read_converse("m", dumped(body), {"m": ModelTraits(frozenset(plain.target.accepts))})
    for call, expected in ((plain, converse), (able, claude)):
        body = Anthropic().body(call)
        assert turns(body) == expected and body["system"] == "Be brief."
        read_messages(dumped(body), {"m": ModelTraits(frozenset(call.target.accepts))})


def test_what_stands_before_it_stays_the_same_from_turn_to_turn() -> None:
    """A prompt cache and Claude's signed thinking depend on it."""
    messages = [BRIEF, ONE, LATE, YES, TWO, YES, LATE, ONE, YES, LATE]
    earlier: list[Any] = [[], []]
    for length in (3, 5, 8, 10):
        for at, call in enumerate(calls_of(messages[:length])):
            sent_turns = Anthropic().body(call)["messages"]
            assert sent_turns[: len(earlier[at])] == earlier[at], length
            earlier[at] = sent_turns


def test_a_cache_point_of_the_caller_stays_at_its_message() -> None:
    marked = {"role": "system", "content": [{"type": "text", "text": "It is late.", "cache_control": {"type": "ephemeral"}}]}
    plain, _ = calls_of([BRIEF, ONE, YES, marked, TWO])
    *_, last = Anthropic().body(plain)["messages"]
    assert [(block["text"], "cache_control" in block) for block in last["content"]] == [(MARKED, True), ("Two", False)]


def test_the_other_formats() -> None:
    late = Message("system", "It is late.")
    listed = [{"role": "system", "content": "Be brief."}, ONE, YES, LATE, TWO]
    parsed = [anthropic_messages.parse({"model": "a", "max_tokens": 9, "messages": listed})[0]]
    parsed.append(openai_responses.parse({"model": "a", "input": [*listed[:3], {**LATE, "role": "developer"}, TWO]}))
    for each in parsed:
        assert each.system == "Be brief."
        assert [(message.role, message.text) for message in each.messages] == [
            ("user", "One"),
            ("assistant", "Yes"),
            ("system", "It is late."),
            ("user", "Two"),
        ]
    assert sent(request(messages=(late, Message("user", "One"))), target(ACCEPTS)).messages[0].text == f"{MARKED}\n\nOne"


def test_calls_and_a_system_message_between_them_are_one_turn_of_responses() -> None:
    def call(name: str) -> dict[str, Any]:
        return {"type": "function_call", "call_id": name, "name": "f", "arguments": "{}"}

    def output(name: str) -> dict[str, Any]:
        return {"type": "function_call_output", "call_id": name, "output": "1"}

    parsed = openai_responses.parse({"model": "a", "input": [ONE, call("c1"), LATE, call("c2"), output("c1"), output("c2")]})
    assert [message.role for message in parsed.messages] == ["user", "assistant", "tool", "tool", "system"]
    assert conversation_problems(parsed.messages) == []
