"""Structured output: answers that are JSON, where a target has a switch for it and where it has none.

Where it has none, the model is asked in words, and the JSON object in its text is the answer. For a schema that names
properties, a model that can be made to call a tool is offered one that takes the answer as its arguments. They are passed on as
the answer's text. A tool without properties would be called without arguments (BerriAI/litellm#25740).
"""

from collections.abc import AsyncGenerator

import msgspec

from llm_gateway import errors
from llm_gateway.call import ModelCall, instructed
from llm_gateway.events import Delta, Done, Event, Logprobs, ToolCall, ToolCallDelta
from llm_gateway.json_schema import Schema, closed, is_fully_required, text_violation
from llm_gateway.json_text import CUT, check, first_object
from llm_gateway.request import ResponseFormat, Tool, ToolChoice
from llm_gateway.rewriting import before_usage, rewritten

_NAME = "final_answer"
_DESCRIPTION = "Gives the final answer. Its arguments are the answer, as a JSON object."
# Some models obey a tool choice loosely.
_BY_TOOL = "Give your final answer only by calling the tool {name}, whose arguments are the answer. Write no text."
_IN_WORDS = "Give your final answer as one JSON object and nothing else: no words before or after it, and no code block."


def structured(call: ModelCall, wanted: ResponseFormat) -> ModelCall:
    """Return the call whose answer has the form `wanted`: by the target's own switch, else by a tool or in words."""
    accepts = call.target.accepts
    if wanted.type in accepts:
        # OpenAI's strict mode does not take every schema, and is not asked for then.
        is_checked = wanted.type == "json_schema" and wanted.strict and not is_fully_required(wanted.schema)
        return msgspec.structs.replace(call, response_format=wanted, checked_schema=wanted.schema if is_checked else None)
    if wanted.type == "json_schema" and "closed_json_schema" in accepts and (schema := closed(wanted.schema)) is not None:
        return msgspec.structs.replace(call, response_format=msgspec.structs.replace(wanted, schema=schema))
    if call.tool_choice.mode in ("required", "tool"):
        return call  # the answer is a call of the caller's own tool
    if {"tools", "forced_tools"} <= set(accepts) and _names_properties(wanted.schema):
        return _by_tool(call, wanted)
    return _in_words(call, wanted)


def _names_properties(schema: Schema) -> bool:
    return any(schema.get(keyword) for keyword in ("properties", "$ref", "anyOf", "oneOf", "allOf"))


def _in_words(call: ModelCall, wanted: ResponseFormat) -> ModelCall:
    words = [_IN_WORDS]
    if about := _about(wanted):
        words.append(f"It is of the form {about}.")
    if wanted.type == "json_schema":
        words.append(f"It follows this JSON Schema:\n{msgspec.json.encode(wanted.schema).decode()}")
    return msgspec.structs.replace(
        instructed(call, " ".join(words)),
        checked_schema=wanted.schema if wanted.strict else None,
        object_in_text=True,
    )


def _by_tool(call: ModelCall, wanted: ResponseFormat) -> ModelCall:
    offered = () if call.tool_choice.mode == "none" else call.tools
    used = {use.name for message in call.messages for use in message.tool_calls}
    name = _NAME
    while name in used or any(tool.name == name for tool in offered):
        name += "_"
    about = _about(wanted)
    tool = Tool(
        name=name,
        description=f"{_DESCRIPTION} It is of the form {about}." if about else _DESCRIPTION,
        parameters={"type": "object", **wanted.schema},
        strict=wanted.strict,
    )
    # The tools of the history are declared, too, and must not be called.
    choice = ToolChoice("tool", name) if used and not offered else ToolChoice("required")
    return msgspec.structs.replace(
        instructed(call, _BY_TOOL.format(name=name)),
        tools=(*offered, tool),
        tool_choice=choice,
        stream=call.stream and "stream_tools" in call.target.accepts,
        output_tool=name,
    )


def _about(wanted: ResponseFormat) -> str:
    return ": ".join(filter(None, (wanted.name, wanted.description)))


def text_of_tool(batches: AsyncGenerator[list[Event], None], call: ModelCall) -> AsyncGenerator[list[Event], None]:
    """Return an answer's events with the arguments of the call's output tool as its text.

    Text beside the call of a tool is left out: a caller reads the text as JSON. If no tool was called, the text is the answer
    if it is JSON. Raises the error 502 for an answer that is complete and is no JSON, or does not follow a strict schema.
    """
    tool = next(tool for tool in call.tools if tool.name == call.output_tool)
    return rewritten(batches, _Reader(tool).read)


def checked_text(batches: AsyncGenerator[list[Event], None], schema: Schema) -> AsyncGenerator[list[Event], None]:
    """Return an answer's events. Raises the error 502 at the end of one that is complete and whose text breaks the schema."""
    return rewritten(batches, _Checker(schema).read)


class _Checker:
    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        self._text: list[str] = []
        self._refused = False

    def read(self, batch: list[Event]) -> list[Event]:
        for event in batch:
            match event:
                case Delta(refusal=True):
                    self._refused = True
                case Delta(text=part):
                    self._text.append(part)
                case Done(stop_reason="end_turn" | "stop_sequence") if not self._refused:
                    if problem := text_violation(self._schema, "".join(self._text)):
                        raise errors.invalid_output(reason=problem)
                case _:
                    pass
        return batch


class _Reader:
    def __init__(self, tool: Tool) -> None:
        self._name = tool.name
        self._schema = tool.parameters if tool.strict else None
        self._answer: list[str] = []
        self._output: int | None = None  # the provider's index of the call that is the answer
        self._others: dict[int, int] = {}  # its indexes of the other calls -> ours
        self._text: list[str] = []

    def read(self, batch: list[Event]) -> list[Event]:
        events: list[Event] = []
        for event in batch:
            match event:
                case Delta(text=part):
                    self._text.append(part)
                case Logprobs():
                    pass  # those of a text that is left out
                case ToolCall(index=index, name=self._name):
                    if self._output is None:  # a second answer is dropped
                        self._output = index
                case ToolCall(index=index):
                    self._others[index] = len(self._others)
                    events.append(msgspec.structs.replace(event, index=self._others[index]))
                case ToolCallDelta(index=index, arguments=part):
                    if index == self._output:
                        self._answer.append(part)
                        events.append(Delta(part))
                    elif index in self._others:
                        events.append(msgspec.structs.replace(event, index=self._others[index]))
                case Done(stop_reason=reason):
                    if self._output is None and not self._others and (text := self._answer_in_text(event)):
                        self._answer.append(text)
                        events.insert(before_usage(events), Delta(text))
                    if self._answer and reason not in CUT:
                        self._check("".join(self._answer))
                    ends = reason == "tool_use" and not self._others
                    events.append(Done("end_turn") if ends else event)
                case _:
                    events.append(event)
        return events

    def _answer_in_text(self, done: Done) -> str:
        """Return the answer of a model that did not call the tool."""
        text = "".join(self._text)
        if done.stop_reason in CUT:
            return text.strip()
        found = first_object(text)
        check(found, None)
        return found

    def _check(self, answer: str) -> None:
        if self._schema is not None and (problem := text_violation(self._schema, answer)):
            raise errors.invalid_output(reason=problem)
