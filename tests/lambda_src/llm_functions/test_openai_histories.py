"""Conversations as SDKs and agents send them back: what a target is sent for each, in each provider's format."""

from typing import Any

import pytest
from openai.types.chat import ChatCompletionMessage

from llm_functions.api_formats import openai_chat as openai_api
from llm_gateway.call import ModelCall
from llm_gateway.errors import GatewayError
from llm_gateway.providers.anthropic.dialect import Anthropic
from llm_gateway.providers.bedrock.converse import Converse
from llm_gateway.providers.openai import chat_completions
from llm_gateway.request import Media
from llm_gateway.stages.validate import conversation_problems
from support.chat_requests import SAMPLING, sent, target

ASK: Any = {"role": "user", "content": "Hi"}
SYSTEM: Any = {"role": "system", "content": "Be brief."}


def said(content: Any = None, **more: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": content, **more}


def calls(arguments: Any, **more: Any) -> list[dict[str, Any]]:
    """A question, the call of a tool with these arguments, and its result."""
    function = {"name": "f", "arguments": arguments, **more}
    call = {"id": "call_1", "type": "function", "function": function}
    return [ASK, said(tool_calls=[call]), {"role": "tool", "tool_call_id": "call_1", "content": "1"}]


def call_of(messages: list[Any], accepts: tuple[str, ...] = (), **body: Any) -> ModelCall:
    request, _ = openai_api.parse({"model": "a", "messages": messages, **body})
    assert conversation_problems(request.messages) == []
    return sent(request, target((*SAMPLING, "tools", "stream_tools", *accepts)))


def at_converse(call: ModelCall) -> Any:
    """The turns as text: a role's first letter, and what it says."""
    turns = Converse().body(call)["messages"]
    return [(turn["role"][0], *(_block(block) for block in turn["content"])) for turn in turns]


def _block(block: dict[str, Any]) -> Any:
    match block:
        case {"toolUse": use}:
            return use["input"]
        case {"toolResult": {"content": [{"text": text}]}}:
            return f"={text}"
        case _:
            return block["text"]


# messages -> the turns that Bedrock and Anthropic are sent
BEGIN, CONTINUE = ("u", "Begin."), ("u", "Continue.")
HISTORIES: dict[str, tuple[list[Any], list[Any]]] = {
    "empty arguments": (calls(""), [("u", "Hi"), ("a", {}), ("u", "=1")]),
    "no arguments": (calls(None), [("u", "Hi"), ("a", {}), ("u", "=1")]),
    "arguments that are cut": (calls('{"a": "b'), [("u", "Hi"), ("a", {"arguments": '{"a": "b'}), ("u", "=1")]),
    "arguments that are no object": (calls("[1]"), [("u", "Hi"), ("a", {"arguments": "[1]"}), ("u", "=1")]),
    "parsed arguments": (calls('{"a": 1}', parsed_arguments={"a": 1}), [("u", "Hi"), ("a", {"a": 1}), ("u", "=1")]),
    "an answer of reasoning only": ([ASK, said(None, reasoning_content="Hm"), ASK], [("u", "Hi", "Hi")]),
    "an answer cut before its first word": ([ASK, said(""), ASK], [("u", "Hi", "Hi")]),
    "an answer of blank text": ([ASK, said(" \n"), ASK], [("u", "Hi", "Hi")]),
    "what the SDK adds": (
        [ASK, said("Yes", parsed={"a": 1}, refusal=None, annotations=[], audio=None, id="m1", function_call=None), ASK],
        [("u", "Hi"), ("a", "Yes"), ("u", "Hi")],
    ),
    "what other gateways add": (
        [ASK, said("Yes", reasoning="Hm", provider_specific_fields={}, thinking_blocks=[], images=[], index=0), ASK],
        [("u", "Hi"), ("a", "Yes"), ("u", "Hi")],
    ),
    "a refusal": ([ASK, said(None, refusal="No."), ASK], [("u", "Hi"), ("a", "No."), ("u", "Hi")]),
    "a refusal as a part": (
        [ASK, said([{"type": "refusal", "refusal": "No."}]), ASK],
        [("u", "Hi"), ("a", "No."), ("u", "Hi")],
    ),
    "null for whatever is not known": ([{**ASK, "surplus": None}], [("u", "Hi")]),
    "the assistant first": ([said("Hello!"), ASK], [BEGIN, ("a", "Hello!"), ("u", "Hi")]),
    "the assistant last": ([ASK, said("Well, ")], [("u", "Hi"), ("a", "Well, "), CONTINUE]),
    "only the assistant": ([said("Hello!")], [BEGIN, ("a", "Hello!"), CONTINUE]),
    "only a system message": ([SYSTEM], [("u", "Be brief.")]),
    "a system message and an empty one": ([SYSTEM, {**ASK, "content": ""}], [("u", "Be brief.")]),
    "an empty turn of the user": ([ASK, said("Yes"), {**ASK, "content": ""}], [("u", "Hi"), ("a", "Yes"), CONTINUE]),
    "an empty text part": ([{**ASK, "content": [{"type": "text", "text": ""}, {"type": "text", "text": "a"}]}], [("u", "a")]),
}  # fmt: skip


@pytest.mark.parametrize(("messages", "turns"), HISTORIES.values(), ids=HISTORIES)
def test_what_is_sent_back_is_taken(messages: list[Any], turns: list[Any]) -> None:
    call = call_of(messages)
    assert at_converse(call) == turns
    blocks = Anthropic().body(call)["messages"]
    assert [turn["role"][0] for turn in blocks] == [turn[0] for turn in turns]
    assert [len(turn["content"]) for turn in blocks] == [len(turn) - 1 for turn in turns]


@pytest.mark.parametrize("text", ['{"a": "b', "[1]", "no JSON"])
def test_an_openai_compatible_target_gets_arguments_as_they_were(text: str) -> None:
    turn = chat_completions.body(call_of(calls(text)))["messages"][1]
    assert turn["tool_calls"][0]["function"]["arguments"] == text


def test_an_openai_compatible_target_gets_whoever_speaks_first_and_last() -> None:
    messages = [said("Hello!"), ASK, said("Well, ")]
    assert chat_completions.body(call_of(messages))["messages"] == messages
    assert chat_completions.body(call_of([ASK, said(None), ASK]))["messages"] == [ASK, ASK]


def test_a_target_that_takes_it_goes_on_with_an_answer_that_is_begun() -> None:
    assert at_converse(call_of([ASK, said("Well, ")], ("prefill",))) == [("u", "Hi"), ("a", "Well,")]


def test_the_system_messages_before_the_first_turn_become_one() -> None:
    second = {"role": "developer", "content": [{"type": "text", "text": "In French."}]}
    call = call_of([SYSTEM, second, ASK, said("Yes"), ASK])
    assert call.system == "Be brief.\n\nIn French."
    assert at_converse(call) == [("u", "Hi"), ("a", "Yes"), ("u", "Hi")]


@pytest.mark.parametrize("parameters", [None, {}, {"properties": {}}])
def test_a_tool_without_parameters_has_a_schema_of_an_object(parameters: Any) -> None:
    tool = {"type": "function", "function": {"name": "f", "parameters": parameters}}
    (declared,) = call_of([ASK], tools=[tool]).tools
    assert declared.parameters == {"type": "object", "properties": {}}


def test_a_tool_that_is_given_twice_is_sent_once() -> None:
    """Bedrock and Anthropic refuse two of one name, which agents send that join several lists of tools."""
    tool = {"type": "function", "function": {"name": "f"}}
    assert [
        each.name for each in call_of([ASK], tools=[tool, {"type": "function", "function": {"name": "g"}}, tool]).tools
    ] == ["f", "g"]


def test_marks_of_a_cache_and_the_highest_effort_are_read() -> None:
    """OpenAI's own, and Anthropic's as LiteLLM and OpenRouter take it in this format."""
    marked = {"type": "text", "text": "Hi", "cache_control": {"type": "ephemeral"}}
    messages = [
        {**SYSTEM, "content": [marked]},
        ASK,
        said("Yes"),
        {**ASK, "content": [{**marked, "prompt_cache_breakpoint": {}}]},
    ]
    tools = [
        {"type": "function", "function": {"name": name}, **more} for name, more in (("f", {}), ("g", {"cache_control": {}}))
    ]
    request, _ = openai_api.parse({"model": "a", "messages": messages, "tools": tools, "reasoning_effort": "max"})
    assert (request.cache_system, [turn.cache for turn in request.messages]) == (True, [False, False, True])
    assert [tool.cache for tool in request.tools] == [False, True] and request.sampling.reasoning_effort == "xhigh"


def test_what_the_sdk_makes_of_an_answer_is_taken_back() -> None:
    """With every field that the SDK's class dumps, and fields that it does not know."""
    answer = ChatCompletionMessage.model_validate({"role": "assistant", "content": "Yes", "reasoning_content": "Hm", "new": 1})
    assert at_converse(call_of([ASK, answer.model_dump(), ASK])) == [("u", "Hi"), ("a", "Yes"), ("u", "Hi")]


DATA = "data:image/png;base64,AAAA"
PARTS: Any = [
    {"type": "text", "text": "What is it?"},
    {"type": "image_url", "image_url": {"url": DATA, "detail": "low"}},
    {"type": "file", "file": {"file_data": "data:application/pdf;base64,BBBB", "filename": "a.pdf"}},
    {"type": "file", "file": {"file_data": "CCCC", "filename": "b.txt"}},
]
LINK: Any = [{"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}]


def test_images_and_files_are_read() -> None:
    picture, pdf, text = (
        Media("image", "image/png", "AAAA", detail="low"),
        Media("document", "application/pdf", "BBBB", name="a.pdf"),
        Media("document", "text/plain", "CCCC", name="b.txt"),
    )
    call = call_of([{**ASK, "content": PARTS}, *calls("{}")[1:2], {**calls("")[2], "content": PARTS}], ("images", "documents"))
    for message in (call.messages[0], call.messages[2]):
        assert (message.text, message.parts) == ("What is it?", ("What is it?", picture, pdf, text))
    (turn,) = call_of([{**ASK, "content": LINK}], ("images", "image_urls")).messages
    assert turn.parts == (Media("image", url="https://example.com/a.png"),)


# content, what a target accepts, where it is, what is told
UNSEEN: dict[str, tuple[Any, tuple[str, ...], str, str]] = {
    "no images": (PARTS, ("documents",), "mock", "does not take images"),
    "no documents": (PARTS, ("images",), "mock", "does not take documents"),
    "no addresses": (LINK, ("images",), "mock", "nothing is fetched here"),
    "too many for Bedrock": (PARTS[1:2] * 21, ("images",), "bedrock", "at most 20 images"),
    "too many documents": (PARTS[:1] + PARTS[2:3] * 6, ("documents",), "bedrock", "at most 5 documents"),
}


@pytest.mark.parametrize(("content", "accepts", "provider", "told"), UNSEEN.values(), ids=UNSEEN)
def test_what_a_target_cannot_see_is_told_before_the_call(content: Any, accepts: Any, provider: str, told: str) -> None:
    request, _ = openai_api.parse({"model": "a", "messages": [{**ASK, "content": content}]})
    with pytest.raises(GatewayError, match=told) as refused:
        sent(request, target((*SAMPLING, *accepts), provider=provider))
    assert (refused.value.status, refused.value.param) == (400, "messages[0].content")
