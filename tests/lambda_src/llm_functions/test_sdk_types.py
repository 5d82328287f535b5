"""What the official SDKs' types allow is read or refused by name, and what this service has answered is taken back."""

import asyncio
import json
from collections.abc import Callable
from typing import Any, NamedTuple, get_args

import msgspec
import pytest
from anthropic.types import Message as AnthropicMessage
from anthropic.types import message_count_tokens_params, message_create_params
from anthropic.types.beta import message_count_tokens_params as beta_count_tokens_params
from anthropic.types.beta import message_create_params as beta_message_create_params
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openai.types import completion_create_params, embedding_create_params
from openai.types.chat import ChatCompletion
from openai.types.chat import completion_create_params as chat_params
from openai.types.responses import Response, response_create_params

from llm_functions.api_formats import fields, openai_chat, openai_completions, openai_embeddings
from llm_functions.api_formats.anthropic_messages import answer as anthropic_answer
from llm_functions.api_formats.anthropic_messages import request as anthropic_messages
from llm_functions.api_formats.openai_responses import answer as responses_answer
from llm_functions.api_formats.openai_responses import request as openai_responses
from llm_gateway.errors import GatewayError, Problem, invalid_request
from llm_gateway.events import Delta, Done, Reasoning, ReasoningSignature, Start, StopReason, ToolCall, ToolCallDelta, Usage
from llm_gateway.providers.anthropic.dialect import Anthropic
from llm_gateway.providers.bedrock.converse import Converse
from llm_gateway.providers.openai import chat_completions
from llm_gateway.request import Ability, ChatRequest
from llm_gateway.stages.validate import conversation_problems
from pulumi_llm_local.upstreams.anthropic.request import read_messages
from pulumi_llm_local.upstreams.bedrock.converse_request import read_converse
from pulumi_llm_local.upstreams.model import ModelTraits
from support.chat_requests import TOOL, sent, target
from support.sdk_types import alternatives, requests
from wire.speaker import dumped


class Format(NamedTuple):
    type: Any
    parse: Callable[[dict[str, Any]], Any]


def counted(body: dict[str, Any]) -> Any:
    return anthropic_messages.parse(body, counted=True)


FORMATS = {
    "chat": Format(chat_params.CompletionCreateParamsStreaming, openai_chat.parse),
    "completions": Format(completion_create_params.CompletionCreateParamsStreaming, openai_completions.parse),
    "embeddings": Format(embedding_create_params.EmbeddingCreateParams, openai_embeddings.parse),
    "responses": Format(response_create_params.ResponseCreateParamsStreaming, openai_responses.parse),
    "messages": Format(message_create_params.MessageCreateParamsStreaming, anthropic_messages.parse),
    "tokens": Format(message_count_tokens_params.MessageCountTokensParams, counted),
    "beta messages": Format(beta_message_create_params.MessageCreateParamsStreaming, anthropic_messages.parse),
    "beta tokens": Format(beta_count_tokens_params.MessageCountTokensParams, counted),
}


@pytest.fixture
def problems(monkeypatch: pytest.MonkeyPatch) -> list[Problem]:
    """The problems of the latest request that was refused. Its error lists the first of them."""
    found: list[Problem] = []

    def refused(given: list[Problem]) -> GatewayError:
        found[:] = given
        return invalid_request(given)

    monkeypatch.setattr(fields, "invalid_request", refused)
    return found


# A model that takes all that there is, and one that takes little.
CHAT = ("max_tokens", "temperature", "top_p", "stop", "system", "tools", "stream_tools")
MOST: Any = (*CHAT, *(name for name in get_args(Ability) if name not in ("prefill", "reasoning_effort")))


def taken_by_each_provider(request: ChatRequest) -> None:
    """Each provider takes what it is sent, or the caller is told before."""
    for accepts, model in ((MOST, "m"), (CHAT, "m"), (("reasoning_effort", *MOST), "claude-opus-4-8")):
        given = target(accepts, model=model, stop_max=4)
        traits = {model: ModelTraits(frozenset(accepts), reasoning="reasoning_effort" in accepts)}
        try:
            call = sent(request, given)
            to_anthropic, to_bedrock = Anthropic().body(call), Converse().body(call)
            chat_completions.body(call)
        except GatewayError as error:
            assert error.status == 400, error
            continue
        read_messages(dumped(to_anthropic), traits)
        if not any(tool.anthropics for tool in request.tools):  # Bedrock's targets are passed over for them
            read_converse(model, dumped(to_bedrock), traits)


def read_or_refused(form: Format, body: dict[str, Any], problems: list[Problem]) -> None:
    try:
        read = form.parse(body)
    except GatewayError as error:
        assert error.status == 400
        assert not [problem for problem in problems if "is not known" in problem.message or not problem.field], body
        return
    request = read[0] if isinstance(read, tuple) else read
    if isinstance(request, ChatRequest) and not conversation_problems(request.messages):
        taken_by_each_provider(request)


@pytest.mark.parametrize("form", FORMATS.values(), ids=FORMATS)
def test_each_field_of_a_type_is_read_or_refused_by_name(form: Format, problems: list[Problem]) -> None:
    for body in alternatives(form.type):
        read_or_refused(form, json.loads(json.dumps({"model": "a", **body})), problems)


FEW = settings(max_examples=100, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck))


@pytest.mark.parametrize("form", FORMATS.values(), ids=FORMATS)
def test_fields_together_are_read_or_refused_by_name(form: Format, problems: list[Problem]) -> None:
    @FEW
    @given(requests(form.type))
    def check(body: dict[str, Any]) -> None:
        read_or_refused(form, body, problems)

    check()


# What this service has answered. Models write no arguments, arguments that are cut, and blank texts.
START = Start("r", "full", "bedrock/full", 1, 0.0, 1.0)
TEXTS = st.sampled_from(("a", " \n", "é\U0001f600", "{}"))
ARGUMENTS = st.sampled_from(("", "{}", '{"a": {"b": [1]}}', '{"a": "b', "[1]", "null"))
SIGNED = st.sampled_from(([], [ReasoningSignature("c2ln")], [ReasoningSignature(data="b3Bh")]))
REASONS: Any = st.sampled_from(get_args(StopReason))


@st.composite
def answers(draw: Any) -> list[Any]:
    """The events of an answer: reasoning, which may be signed, text, and calls, each of which may be missing."""
    events: list[Any] = [START]
    if draw(st.booleans()):
        events += [Reasoning(draw(TEXTS)), *draw(SIGNED)]
    events += [Delta(text) for text in draw(st.lists(TEXTS, max_size=2))]
    for index, arguments in enumerate(draw(st.lists(ARGUMENTS, max_size=2))):
        events += [ToolCall(index, f"call_{index}", "f"), ToolCallDelta(index, arguments)]
    return [*events, Usage(1, 1), Done(draw(REASONS))]


async def batches(events: list[Any]) -> Any:
    yield events


USER: Any = {"role": "user", "content": "Hi"}


async def from_chat(events: list[Any], exclude_unset: bool) -> ChatRequest:
    _, body = await openai_chat.render_complete(batches(events))
    message = ChatCompletion.model_validate_json(body).choices[0].message
    kept = json.loads(message.model_dump_json(exclude_unset=exclude_unset))
    results = [{"role": "tool", "tool_call_id": call.id, "content": ""} for call in message.tool_calls or ()]
    return openai_chat.parse({"model": "a", "messages": [USER, kept, *results, USER]})[0]


async def from_responses(events: list[Any], exclude_unset: bool) -> ChatRequest:
    _, body = await responses_answer.render_complete({}, batches(events))
    output = Response.model_validate_json(body).output
    kept = [json.loads(item.model_dump_json(exclude_unset=exclude_unset)) for item in output]
    called = [item.call_id for item in output if item.type == "function_call"]
    results = [{"type": "function_call_output", "call_id": each, "output": ""} for each in called]
    return openai_responses.parse({"model": "a", "input": [USER, *kept, *results, USER]})


async def from_messages(events: list[Any], exclude_unset: bool) -> ChatRequest:
    _, body = await anthropic_answer.render_complete(batches(events), thinking=True, stop=())
    content = AnthropicMessage.model_validate_json(body).content
    kept = [json.loads(block.model_dump_json(exclude_unset=exclude_unset)) for block in content]
    results = [{"type": "tool_result", "tool_use_id": block.id} for block in content if block.type == "tool_use"]
    said = {"role": "user", "content": [*results, {"type": "text", "text": "Hi"}]}
    body = {"model": "a", "max_tokens": 9, "messages": [USER, {"role": "assistant", "content": kept}, said]}
    return anthropic_messages.parse(body)[0]


@FEW
@given(answers(), st.booleans())
@pytest.mark.parametrize("taken_back", [from_chat, from_responses, from_messages])
def test_an_answer_of_this_service_is_taken_back(taken_back: Any, events: list[Any], exclude_unset: bool) -> None:
    """As the SDK's class of it dumps it, with and without the fields that are not given; and then it goes to every provider."""
    request = asyncio.run(taken_back(events, exclude_unset))
    assert conversation_problems(request.messages) == []
    said = [message for message in request.messages if message.role == "assistant"]
    text = "".join(event.text for event in events if isinstance(event, Delta))
    assert "".join(message.text for message in said) == text
    calls = [event.id for event in events if isinstance(event, ToolCall)]
    assert [call.id for message in said for call in message.tool_calls] == calls
    taken_by_each_provider(msgspec.structs.replace(request, tools=(TOOL,)))
    taken_by_each_provider(request)
