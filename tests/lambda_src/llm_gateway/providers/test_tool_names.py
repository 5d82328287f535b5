"""Names of tools and ids of calls that a provider does not take are replaced for it, and a caller never sees that."""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from msgspec.structs import replace as replace_struct

from llm_gateway.call import ModelCall
from llm_gateway.providers.bedrock.converse import Converse
from llm_gateway.providers.tool_names import fitted
from llm_gateway.request import Message, Sampling, Tool, ToolChoice, ToolUse
from llm_gateway.routes import Target
from support.growth import assert_linear
from wire.conversations import BOTH, answers_in_turn, ask_openai, assistant, check, every, tool, user
from wire.providers import SPEAKERS
from wire.speaker import Answer, FunctionCall, Speaker

NAME = "mcp.server/get weather für " + "x" * 60
TOOLS = [tool(NAME), tool("clock")]
FIRST = FunctionCall("call/1 " + "é" * 80, NAME, {"a": 1})
AGAIN = FunctionCall(FIRST.id, "clock", {})  # servers that count from 0 in every answer
HISTORY = [
    user("Hi"),
    assistant(None, FIRST),
    {"role": "tool", "tool_call_id": FIRST.id, "content": "one"},
    assistant(None, AGAIN),
    {"role": "tool", "tool_call_id": AGAIN.id, "content": "two"},
]
BODIES = {name: SPEAKERS[name] for name in ("bedrock", "openai", "anthropic", "imported")}


@BOTH
@every(BODIES)
async def test_names_and_ids(gateway_for, fake, speaker: Speaker, stream: bool) -> None:
    sent: dict[str, Any] = {}

    def answer(name: str) -> Answer:
        return Answer(calls=(FunctionCall("call_9", name, {"b": 2}),), stop="tool_use")

    # What the target calls the tool follows from the caller's name: it is the same in each request.
    choice = {"type": "function", "function": {"name": NAME}}
    for _ in range(2):
        upstream = await fake(answers_in_turn(speaker.response(answer(sent.get("name", "clock")), stream=stream)))
        service = await gateway_for(speaker, upstream)
        answered, _ = await ask_openai(service, stream, messages=HISTORY, tools=TOOLS, tool_choice=choice)
        asked = check(speaker, upstream, stream=stream)
        sent["name"] = asked.choice
    assert answered == replace(answer(NAME), stop="end_turn")
    assert re.fullmatch("[a-zA-Z0-9_-]{1,64}", sent["name"]) and sent["name"].startswith("mcp_server_get_weather_f")
    assert set(asked.tools) == {sent["name"], "clock"}
    _, (_, first, name, _), (_, result, one), (_, second, _, _), (_, last, two) = asked.turns
    assert (name, one, two, first, second) == (sent["name"], "one", "two", result, last)
    assert first != second and all(1 <= len(each) <= 40 and re.fullmatch("[a-zA-Z0-9_-]+", each) for each in (first, second))


def test_a_name_that_was_chosen_to_be_another_tools() -> None:
    names = ("delete all", "delete_all_5823968c")
    call = model_call(names=names)
    found, theirs = fitted(call, re.compile(".+"))
    first, second = (tool.name for tool in found.tools)
    assert first != second == names[1] and theirs == {first: names[0]}


def test_many_calls_of_one_id() -> None:
    def fit(number: int) -> None:
        found, _ = fitted(model_call(ids=["x"] * number), re.compile(".+"))
        assert len({use.id for use in found.messages[0].tool_calls}) == number

    assert_linear(fit, 100)


def test_the_ids_that_mistral_takes() -> None:
    """Nine letters and digits, at its own API and in its tokenizer on vLLM. An id that is such is left alone."""
    call = model_call(ids=("a1B2c3D4e", "call_1", "call_2", "call_1"))
    for model in ("mistral-large-latest", "mistralai/Mixtral-8x7B-Instruct-v0.1", "codestral"):
        target = replace_struct(call.target, model=model)
        made, _ = fitted(replace_struct(call, target=target), re.compile(".+"))
        ids = [use.id for message in made.messages for use in message.tool_calls]
        assert ids[0] == "a1B2c3D4e" and len(set(ids)) == 4
        assert all(re.fullmatch("[a-zA-Z0-9]{9}", each) for each in ids)
        assert ids == [use.id for message in fitted(made, re.compile(".+"))[0].messages for use in message.tool_calls]
    assert fitted(model_call(ids=("call_1",)), re.compile(".+"))[0].messages[0].tool_calls[0].id == "call_1"


def test_the_ids_that_claude_takes_wherever_it_runs() -> None:
    """Bedrock lets more through than its Claude: a conversation that began with Kimi goes on with it."""
    call = model_call(ids=("functions.run:0", "toolu_1", "a" * 65))
    for model in ("us.anthropic.claude-haiku-4-5-v1:0", "claude-opus-5-5"):
        made, _ = fitted(replace_struct(call, target=replace_struct(call.target, model=model)), Converse.call_id)
        ids = [use.id for use in made.messages[0].tool_calls]
        assert ids[1] == "toolu_1" and all(re.fullmatch("[a-zA-Z0-9_-]{1,64}", each) for each in ids)
    assert fitted(call, Converse.call_id)[0].messages[0].tool_calls[0].id == "functions.run:0"


def model_call(names: Sequence[str] = (), ids: Sequence[str] = ()) -> ModelCall:
    return ModelCall(
        target=Target("t", "p", "m", 1, 1, ()),
        messages=(Message("assistant", tool_calls=tuple(ToolUse(each, "clock", {}) for each in ids)),),
        system=None,
        sampling=Sampling(),
        tools=tuple(Tool(name, "", {}) for name in names),
        tool_choice=ToolChoice(),
        stream=False,
        deadline=0.0,
        stall_seconds=0.0,
    )


@every(BODIES)
async def test_what_a_provider_takes_is_left_alone(gateway_for, fake, speaker: Speaker) -> None:
    upstream = await fake(answers_in_turn(speaker.response(Answer("Hi"), stream=False)))
    use = FunctionCall("call_1", "clock", {})
    result = {"role": "tool", "tool_call_id": "call_1", "content": "one"}
    history = [user("Hi"), assistant(None, use), result]
    await ask_openai(await gateway_for(speaker, upstream), False, messages=history, tools=[tool("clock")])
    assert check(speaker, upstream, stream=False).turns == (
        ("user", "Hi"),
        ("call", "call_1", "clock", {}),
        ("result", "call_1", "one"),
    )
