"""The model that answers in a local run without a real one. It is deterministic, and says that it is a stand-in.

`tokens` says what a token is here.
"""

import asyncio
import hashlib
import json
import re
from collections.abc import AsyncIterator, Iterator
from itertools import islice
from typing import cast

from pulumi_llm_local.upstreams.model import (
    Finish,
    GenerationRequest,
    Json,
    Piece,
    ReasoningDelta,
    SignatureDelta,
    StopReason,
    TextBlock,
    TextDelta,
    Tool,
    ToolResultBlock,
    ToolUseBlock,
    ToolUseDelta,
    ToolUseStart,
)
from pulumi_llm_local.upstreams.tokens import count_tokens, input_tokens


class StandInModel:
    """Gives the same answer to the same request, one token at a time.

    Offered tools, it calls one, with arguments for the tool's schema. Given a tool's result, it quotes the result; else it
    quotes the prompt. Where a call is forced, by the tool choice or in words of the system text, it calls a tool after a
    tool's result, too: one that it has not called yet. A text that must follow a schema is a sample for that. Where any object
    is asked for, by a switch or in words of the system text, it is a sample for the first schema that the request shows; asked
    in words, Claude puts it into a block of code, and Llama words around it. It reasons first if the model's traits say so.
    `max_tokens` counts reasoning, text and tool input alike. Stop sequences are looked for in the text.

    Args:
        first_delay: The pause before the first token, in seconds.
        token_delay: The pause before each further token, in seconds.
    """

    def __init__(self, first_delay: float = 0.0, token_delay: float = 0.0) -> None:
        self._first_delay = first_delay
        self._token_delay = token_delay

    async def generate(self, request: GenerationRequest, /) -> AsyncIterator[Piece]:
        delay = self._first_delay
        for piece in _answer(request):
            await asyncio.sleep(delay)
            delay = self._token_delay
            yield piece


_TOKEN_WITH_SPACE = re.compile(r"\s*(?:\w+|[^\w\s])|\s+$")


def _answer(request: GenerationRequest) -> Iterator[Piece]:
    budget = request.traits.max_output_tokens if request.max_tokens is None else request.max_tokens
    if request.traits.context_tokens is not None:
        budget = min(budget, max(request.traits.context_tokens - input_tokens(request), 0))
    left = budget
    if request.traits.reasoning:
        thought, left = _first_tokens(_reasoning(request), left)
        yield from (ReasoningDelta(token) for token in thought)
        if left:
            yield SignatureDelta(_digest(request, "signature"))
    complete, stop_reason, stopped = False, "max_tokens", None
    if left and _calls_a_tool(request):
        tool = _tool(request)
        yield ToolUseStart("tooluse_" + _digest(request, "tool")[:22], tool.name)
        text = _json(tool.schema, request)
        tokens, left = _first_tokens(text, left)
        yield from (ToolUseDelta(token) for token in tokens)
        complete, stop_reason = "".join(tokens) == text, "tool_use"
    elif left:
        text = _text(request)
        tokens, remaining = _first_tokens(text, left)
        shown, stopped = _until_stop("".join(tokens), request.stop)
        complete, stop_reason = bool(stopped) or shown == text, "stop_sequence" if stopped else "end_turn"
        tokens, left = _first_tokens(shown, left) if stopped else (tokens, remaining)
        yield from (TextDelta(token) for token in tokens)
    reason = cast(StopReason, stop_reason if complete else "max_tokens")
    yield Finish(reason, input_tokens(request), budget - left, stopped)


def _first_tokens(text: str, limit: int) -> tuple[list[str], int]:
    """Return at most `limit` tokens of `text`, each with the space before it, and how many tokens are left of the limit."""
    tokens = _TOKEN_WITH_SPACE.findall(text)
    counted = count_tokens(text)
    if counted <= limit:
        return tokens, limit - counted  # with the space at the end, which is no token
    return tokens[:limit], 0


def _until_stop(text: str, stop: tuple[str, ...]) -> tuple[str, str | None]:
    """Return `text` up to the first stop sequence in it, and that sequence."""
    found = [(text.index(sequence), sequence) for sequence in stop if sequence in text]
    return (text[: min(found)[0]], min(found)[1]) if found else (text, None)


def _calls_a_tool(request: GenerationRequest) -> bool:
    answered = any(isinstance(block, ToolResultBlock) for block in request.messages[-1].content)
    forced = request.tool_choice != "auto" or any(_ONLY_A_CALL.search(text) for text in request.system)
    forbidden = any(_NO_CALL in text for text in request.system)
    return bool(request.tools) and (forced or not (answered or forbidden))


# A forced call in words, and one that is forbidden.
_NO_CALL = "Do not call a tool."
_ONLY_A_CALL = re.compile(r"\bAnswer only by calling (?:the tool (?P<name>[\w-]+)|one of your tools)")


def _tool(request: GenerationRequest) -> Tool:
    """Return the tool to call: the one that is named, else the first that was not called since the user's last text."""
    told = [match["name"] for text in request.system if (match := _ONLY_A_CALL.search(text)) and match["name"]]
    name = request.tool_name if request.tool_choice == "tool" else next(iter(told), "")
    for tool in request.tools:
        if tool.name == name:
            return tool
    called: set[str] = set()
    for message in request.messages:
        if any(isinstance(block, TextBlock) for block in message.content) and message.role == "user":
            called.clear()
        called |= {block.name for block in message.content if isinstance(block, ToolUseBlock)}
    return next((tool for tool in request.tools if tool.name not in called), request.tools[-1])


def _reasoning(request: GenerationRequest) -> str:
    return f"The user wrote “{_quoted(_prompt(request))}”. I am a stand-in, so I say so, and show where my reasoning appears."


def _text(request: GenerationRequest) -> str:
    if request.output_schema is not None:
        return _object(request.output_schema, request)
    if _is_told_to_answer_in_json(request):
        return _in_words(_object({"type": "object"}, request), request.model_id)
    results = [block for block in request.messages[-1].content if isinstance(block, ToolResultBlock)]
    if results:
        said = " and ".join(f"{'the error ' if result.error else ''}“{result.text}”" for result in results)
        return f"The tool answered {said}. A real model would now put this into words; this is the local stand-in for it."
    name = request.model_id.rpartition("/")[2]
    return (
        f"Hello! This is the local stand-in for {name}: no real model has read your message, and nothing has left this "
        f"machine. You wrote: “{_quoted(_prompt(request))}”. To get a real answer, start the local run again with --model-url "
        "and the address of a model server, or with --bedrock aws."
    )


_ONE_OBJECT = re.compile(r"\bone JSON object\b")


def _is_told_to_answer_in_json(request: GenerationRequest) -> bool:
    """Whether the system says so, or a text of the system in the user's last turn does."""
    said = _prompt(request)
    texts = (*request.system, said) if "<system-reminder>" in said else request.system
    return any(_ONE_OBJECT.search(text) for text in texts)


def _in_words(text: str, model_id: str) -> str:
    """Return a JSON text as a model of its family writes it, whatever it is told."""
    if "claude" in model_id:
        return f"```json\n{text}\n```"
    if "llama" in model_id:
        return f"Here is the {{JSON}} object:\n\n{text}\n\nDoes it help?"
    return text


def _object(schema: Json, request: GenerationRequest) -> str:
    """Return the text of a sample for a schema; for any object, of one for the schema that the request shows, if any."""
    if _is_any_object(schema):
        schema = _schema_in_prompt(request) or schema
    if _is_any_object(schema):
        others = schema.get("additionalProperties")
        answer = cast(Json, others) if isinstance(others, dict) else {"type": "string"}
        schema = {**schema, "properties": {"answer": answer}, "required": ["answer"]}
    return _json(schema, request)


def _is_any_object(schema: Json) -> bool:
    says = ("properties", "$ref", "anyOf", "oneOf", "allOf")
    return not any(schema.get(name) for name in says) and schema.get("additionalProperties") is not False


def _json(schema: Json, request: GenerationRequest) -> str:
    """Return the text of a sample for a schema. It is {} for one without properties, as real models call such a tool."""
    from pulumi_llm_local.upstreams.schema_sample import sample

    return json.dumps(sample(schema, _prompt(request)), ensure_ascii=False)


def _schema_in_prompt(request: GenerationRequest) -> Json | None:
    """Return the first JSON Schema of an object in the texts of a request."""
    decoder = json.JSONDecoder()
    said = [block.text for message in request.messages for block in message.content if isinstance(block, TextBlock)]
    for text in (*request.system, *said):
        for brace in islice(re.finditer(r"\{", text), 100):
            try:
                value, _ = decoder.raw_decode(text, brace.start())
            except (ValueError, RecursionError):
                continue  # a brace of other text
            if cast(Json, value).get("type") == "object" or cast(Json, value).keys() & {"properties", "$defs"}:
                return cast(Json, value)
    return None


def _prompt(request: GenerationRequest) -> str:
    """Return the last text that the user wrote, with single spaces."""
    for message in reversed(request.messages):
        texts = [block.text for block in message.content if isinstance(block, TextBlock)]
        if message.role == "user" and texts:
            return " ".join(" ".join(texts).split())
    return ""


def _quoted(prompt: str, words: int = 24) -> str:
    parts = prompt.split()
    return " ".join(parts[:words]) + (" …" if len(parts) > words else "")


def _digest(request: GenerationRequest, purpose: str) -> str:
    return hashlib.sha256(f"{purpose} {request.model_id} {request.messages!r} {request.tools!r}".encode()).hexdigest()
