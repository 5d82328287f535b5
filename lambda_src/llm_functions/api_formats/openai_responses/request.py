"""Reads requests in the format of OpenAI's Responses API.

https://platform.openai.com/docs/api-reference/responses/create
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from llm_functions.api_formats import openai_chat, openai_media
from llm_functions.api_formats.fields import MOST_ITEMS, MOST_MESSAGES, Fields, kind
from llm_functions.api_formats.media import ADDRESS, is_address
from llm_functions.api_formats.openai_parameters import hint
from llm_functions.api_formats.openai_responses import tools
from llm_functions.api_formats.openai_responses.reasoning import unsealed
from llm_functions.api_formats.response_format import json_schema
from llm_gateway.errors import clipped
from llm_gateway.request import (
    NUMERIC_PARAMETERS,
    ChatRequest,
    Media,
    Message,
    ReasoningBlock,
    ResponseFormat,
    Sampling,
    ToolUse,
)
from llm_gateway.system_messages import after_results

# How the id of an item of reasoning begins.
REASONING_ID = "rs_"

# What needs something that is kept between two requests, or that runs at OpenAI.
STATEFUL = {
    "previous_response_id": "nothing is kept here between two requests; send the items of the earlier answers in input",
    "conversation": "nothing is kept here between two requests; send the items of the earlier answers in input",
    "prompt": "no prompts are kept here; send its text in instructions",
    "background": "answers come at once; leave it out",
    "moderation": "is a part of OpenAI's own service; leave it out",
    "max_tool_calls": "bounds tools that run at OpenAI; leave it out",
    "image": "no images are made here; leave it out",
}
# What changes no answer: whether and where it is kept, and what else it shall hold.
IGNORED = (
    *("store", "include", "truncation", "stream_options", "context_management", "prompt_cache_options"),
    *("prompt_cache_retention", "access_programs", "top_logprobs", "client_metadata"),
)
HINTS = ("user", "metadata", "safety_identifier", "prompt_cache_key", "service_tier")


def parse(body: Mapping[str, Any]) -> ChatRequest:
    """Parse a request's body. Raises the error 400, which names every field that is wrong."""
    fields = Fields(body)
    model = fields.string("model", required=True)
    conversation = _Conversation(fields)
    offered, left_out = tools.read(fields)
    offered, tool_choice = tools.choice(fields, offered)
    text = fields.object("text")
    reasoning = fields.object("reasoning")
    parallel = fields.any("parallel_tool_calls")
    if parallel is not None and not isinstance(parallel, bool):
        fields.wrong("parallel_tool_calls", f"must be true or false, not {kind(parallel)}")
    hints = {name: value for name in HINTS if fields.has(name) and (value := hint(fields, name)) is not None}
    hints |= dict.fromkeys(left_out, True)  # no target knows them, so that they are named as dropped
    if text is not None and (verbosity := hint(text, "verbosity")) is not None:
        hints["verbosity"] = verbosity
    request = ChatRequest(
        messages=after_results(conversation.messages),
        model=model or "",
        system="\n\n".join(conversation.system) if conversation.system else None,
        sampling=Sampling(
            max_tokens=fields.integer("max_output_tokens", 1),
            **fields.numbers(NUMERIC_PARAMETERS),
            reasoning_effort=None if reasoning is None else _effort(reasoning),
        ),
        tools=offered,
        tool_choice=tool_choice,
        parallel_tool_calls=parallel is not False,
        stream=fields.boolean("stream"),
        names={
            "max_tokens": "max_output_tokens",
            "system": "instructions",
            "reasoning_effort": "reasoning.effort",
            "response_format": "text.format",
        },
        response_format=None if text is None else _format(text),
        hints=hints,
    )
    if text is not None:
        text.no_others()
    for name, reason in STATEFUL.items():
        if fields.any(name):
            fields.wrong(name, reason)
    for name in IGNORED:
        fields.any(name)
    if body.get("top_logprobs"):
        fields.wrong("top_logprobs", "is not possible in this format; use /v1/chat/completions, or leave it out")
    include = body.get("include")
    if isinstance(include, list) and "message.output_text.logprobs" in include:
        fields.wrong("include", "message.output_text.logprobs is not possible in this format; use /v1/chat/completions")
    fields.no_others()
    fields.finish()
    return request


def _effort(reasoning: Fields) -> str | None:
    effort = openai_chat.reasoning_effort(reasoning, "effort")
    for name in ("summary", "generate_summary", "context", "mode"):  # of the reasoning that there is, all is given
        reasoning.any(name)
    reasoning.no_others()
    return effort


def _format(text: Fields) -> ResponseFormat | None:
    wanted = text.object("format")
    if wanted is None:
        return None
    found: ResponseFormat | None = None
    match wanted.string("type", required=True):
        case "text" | None:
            pass
        case "json_object":
            found = ResponseFormat("json_object")
        case "json_schema":
            found = json_schema(wanted)
        case other:
            wanted.wrong("type", f"must be text, json_object or json_schema, not {clipped(other)!r}")
    wanted.no_others()
    return found


# The conversation.


class _Conversation:
    """The system texts and the messages. Items of the assistant that follow one another are one message."""

    def __init__(self, fields: Fields) -> None:
        self.messages: list[Message] = []
        self._turn: list[Message] = []  # the assistant's items that follow one another
        instructions = fields.string("instructions")
        self.system: list[str] = [instructions] if instructions else []
        given = fields.any("input")
        if given is None:
            fields.wrong("input", "is required, a text or a list of items")
        elif isinstance(given, str):
            self.messages.append(Message("user", text=given, place="input"))
        else:
            for item in fields.objects("input", MOST_MESSAGES):
                self._add(item)
            self._end_turn()

    def _add(self, item: Fields) -> None:
        for name in ("id", "status", "phase", "agent", "async"):
            item.any(name)
        shape = item.string("type")
        if shape is None and item.has("id") and not item.has("role"):
            shape = "item_reference"
        match shape:
            case "message" | None:
                self._add_message(item)
            case "function_call":
                identifier, name = item.string("call_id", required=True), item.string("name", required=True)
                arguments, cut = item.arguments("arguments")
                item.any("caller")
                name = tools.full_name(name or "", item.string("namespace"))
                self._extend(item, tool_calls=(ToolUse(identifier or "", name, arguments, cut),))
            case "custom_tool_call":
                identifier, name = item.string("call_id", required=True), item.string("name", required=True)
                item.any("caller")
                name = tools.full_name(name or "", item.string("namespace"))
                arguments = tools.input_arguments(item.string("input") or "")
                self._extend(item, tool_calls=(ToolUse(identifier or "", name, arguments),))
            case "function_call_output" | "custom_tool_call_output":
                text, parts = _content(item, "output")
                item.given(("caller", "name", "namespace"))
                answered = item.string("call_id", required=True) or ""
                self.messages.append(Message("tool", text=text, parts=parts, tool_call_id=answered, place=item.place))
            case "reasoning":
                item.any("summary")
                blocks = unsealed(item, "encrypted_content")
                parts = [part.string("text") or "" for part in item.objects("content", MOST_ITEMS)]
                self._extend(item, reasoning="".join(parts), reasoning_blocks=blocks)
            case "item_reference":
                # Vercel's AI SDK refers to reasoning so, unless `store` is false. A model answers without it, too.
                if not (item.string("id", required=True) or "").startswith(REASONING_ID):
                    reason = "nothing is kept here between two requests; send the item itself, as clients do with store: false"
                    item.wrong("type", reason)
            case _:
                item.wrong("type", f"{clipped(shape)!r} is of OpenAI's own service and is not possible here; leave it out")
                return
        item.no_others()

    def _add_message(self, item: Fields) -> None:
        role = item.string("role", required=True)
        text, parts = _content(item, "content")
        match role:
            case "system" | "developer" if self.messages:
                self.messages.append(Message("system", text, place=item.place))
            case "system" | "developer":
                self.system.append(text)
            case "user":
                self.messages.append(Message("user", text=text, parts=parts, place=item.place))
            case "assistant":
                self._extend(item, text=text)
            case None:
                pass
            case _:
                item.wrong("role", f"must be user, assistant, system or developer, not {clipped(role)!r}")

    def _extend(
        self,
        item: Fields,
        *,
        text: str = "",
        reasoning: str = "",
        reasoning_blocks: tuple[ReasoningBlock, ...] = (),
        tool_calls: tuple[ToolUse, ...] = (),
    ) -> None:
        if self._begins_a_turn():
            self._end_turn()
            self.messages.append(Message("assistant", place=item.place))
        self._turn.append(Message("assistant", text, tool_calls, reasoning=reasoning, reasoning_blocks=reasoning_blocks))

    def _begins_a_turn(self) -> bool:
        """Whether an item of the assistant begins a turn: not after another one of it, or calls and a system message."""
        last = next((message.role for message in reversed(self.messages) if message.role != "system"), "")
        return last != "assistant" or (self.messages[-1].role == "system" and not any(item.tool_calls for item in self._turn))

    def _end_turn(self) -> None:
        """Join the items of the assistant's latest turn: at once, for each join copies what there is."""
        if not self._turn:
            return
        at = next(at for at in reversed(range(len(self.messages))) if self.messages[at].role == "assistant")
        self.messages[at] = msgspec.structs.replace(
            self.messages[at],
            text="\n".join(item.text for item in self._turn if item.text),
            reasoning="".join(item.reasoning for item in self._turn),
            reasoning_blocks=tuple(block for item in self._turn for block in item.reasoning_blocks),
            tool_calls=tuple(call for item in self._turn for call in item.tool_calls),
        )
        self._turn = []


def _content(item: Fields, name: str) -> tuple[str, tuple[str | Media, ...]]:
    """Return all text of a content, and its parts where it has media."""
    value = item.any(name)
    if isinstance(value, str):
        return value, ()
    if not isinstance(value, list):
        item.wrong(name, f"must be a string or a list of parts, not {kind(value)}")
        return "", ()
    parts: list[str | Media] = []
    for part in item.objects(name, MOST_ITEMS):
        shape = part.string("type", required=True)
        for other in ("annotations", "logprobs", "prompt_cache_breakpoint"):
            part.any(other)
        match shape:
            case "input_text" | "output_text" | "text" | "summary_text":
                parts.append(part.string("text") or "")
            case "refusal":
                parts.append(part.string("refusal") or "")
            case "input_image":
                parts += [media] if (media := _image(part)) else []
            case "input_file":
                parts += [media] if (media := _file(part)) else []
            case None:
                pass
            case _:
                part.wrong("type", f"must be input_text, input_image, input_file or output_text, not {clipped(shape)!r}")
                continue
        part.no_others()
    media = any(isinstance(part, Media) for part in parts)
    return "\n".join(part for part in parts if isinstance(part, str)), tuple(parts) if media else ()


def _image(part: Fields) -> Media | None:
    detail = openai_media.image_detail(part)
    url = part.string("image_url") or ""
    if is_address(url):
        return Media("image", url=url, detail=detail)
    media = openai_media.embedded(url, "image", detail=detail)
    if media is None and not _is_kept(part):
        part.wrong("image_url", f"must be {ADDRESS} or data:image/TYPE;base64,…, not {clipped(url, 32)!r}")
    return media


def _file(part: Fields) -> Media | None:
    part.any("detail")
    if part.any("file_url"):
        part.wrong("file_url", "nothing is fetched here; send file_data")
    data = part.string("file_data") or ""
    media = openai_media.embedded(data, "document", part.string("filename") or "")
    if media is None and not _is_kept(part):
        part.wrong("file_data", "must be data:TYPE;base64,…, such as data:application/pdf;base64,…")
    return media


def _is_kept(part: Fields) -> bool:
    if part.any("file_id") is None:
        return False
    part.wrong("file_id", "no files are kept here; send the data itself")
    return True
