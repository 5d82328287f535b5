"""What a caller asked of the calls of tools, where a target does not see to it: a call, one call, a strict schema."""

from collections.abc import AsyncGenerator, Mapping

import msgspec

from llm_gateway import errors
from llm_gateway.call import ModelCall, instructed
from llm_gateway.errors import clipped
from llm_gateway.events import Delta, Done, Event, Logprobs, ToolCall, ToolCallDelta
from llm_gateway.json_schema import Schema, closed_tools, is_fully_required, text_violation
from llm_gateway.request import ToolChoice
from llm_gateway.rewriting import before_usage, rewritten

# The keywords that Claude does not take at the top of a tool's schema.
UNIONS = frozenset(("anyOf", "oneOf", "allOf"))


def strict_schemas(call: ModelCall) -> Mapping[str, Schema]:
    """Return the schemas of the tools whose arguments follow them by the target's own switch, by the tools' names.

    They are closed, but for OpenAI's own mode, which takes a schema as it is or not at all.
    """
    if "strict_tools" not in call.target.accepts or not any(tool.strict for tool in call.tools):
        return {}
    if "json_schema" in call.target.accepts:
        return {tool.name: tool.parameters for tool in call.tools if tool.strict and is_fully_required(tool.parameters)}
    taken = tuple(tool for tool in call.tools if not UNIONS & tool.parameters.keys())
    return closed_tools(taken, None if call.response_format is None else call.response_format.schema)


def asked_in_words(call: ModelCall) -> ModelCall:
    """Return the call with a tool choice in words, for a target that does not take it.

    Where no tool is offered, none may be called.
    """
    wanted = call.tool_choice
    if wanted.mode in ("auto", "none"):
        return msgspec.structs.replace(instructed(call, _NO_CALL), must_call=ToolChoice("none"))
    which = f"the tool {wanted.name}" if wanted.mode == "tool" else "one of your tools"
    tools = tuple(tool for tool in call.tools if wanted.mode == "required" or tool.name == wanted.name)
    call = instructed(call, f"Answer only by calling {which}. Write no text.")
    return msgspec.structs.replace(call, tools=tools, tool_choice=ToolChoice(), must_call=wanted)


_NO_CALL = "Answer in words now. Do not call a tool."


def with_a_call(batches: AsyncGenerator[list[Event], None], wanted: ToolChoice) -> AsyncGenerator[list[Event], None]:
    """Return an answer's events. Raises the error 502 for one that is complete and in which the wanted tool is not called.

    Text is held back until the call, so that the target can be asked again. Where no tool may be called, the calls are left
    out, and the error is raised for an answer that has no text.
    """
    return rewritten(batches, _NoCallReader().read if wanted.mode == "none" else _CallReader(wanted).read)


class _NoCallReader:
    def __init__(self) -> None:
        self._said = False

    def read(self, batch: list[Event]) -> list[Event]:
        events: list[Event] = []
        for event in batch:
            match event:
                case ToolCall() | ToolCallDelta():
                    continue
                case Delta(text=text):
                    self._said = self._said or not text.isspace()
                    events.append(event)
                case Done(stop_reason="tool_use"):
                    if not self._said:
                        raise errors.invalid_output(reason="no call of a tool was allowed, and it made one")
                    events.append(Done("end_turn"))
                case _:
                    events.append(event)
        return events


class _CallReader:
    def __init__(self, wanted: ToolChoice) -> None:
        self._wanted = wanted
        self._held: list[Event] = []
        self._called = False

    def read(self, batch: list[Event]) -> list[Event]:
        events: list[Event] = []
        for event in batch:
            match event:
                case Delta() | Logprobs() if not self._called:
                    self._held.append(event)
                case ToolCall(name=name) if not self._called:
                    if self._wanted.mode == "tool" and name != self._wanted.name:
                        raise errors.invalid_output(reason="a call of another tool was asked for")
                    self._called = True
                    events += [*self._held, event]
                case Done(stop_reason=reason) if not self._called:
                    if reason in ("end_turn", "stop_sequence", "tool_use"):
                        raise errors.invalid_output(reason="a call of a tool was asked for, and it answered in words")
                    place = before_usage(events)
                    events[place:place] = self._held
                    events.append(event)
                case _:
                    events.append(event)
        return events


def strict_calls(batches: AsyncGenerator[list[Event], None], call: ModelCall) -> AsyncGenerator[list[Event], None]:
    """Return an answer's events, with one call of a tool if the caller asked for no parallel ones.

    Where a tool is strict, calls are held back until all are complete. Raises the error 502 if the arguments of one do not
    follow its tool's schema: no part of a call has left then, and the target can be asked again.
    """
    return rewritten(batches, _StrictReader(call).read)


class _StrictReader:
    def __init__(self, call: ModelCall) -> None:
        self._parallel = call.parallel_tool_calls
        self._output_tool = call.output_tool
        by_switch = strict_schemas(call)
        self._schemas: dict[str, Schema] = {
            tool.name: tool.parameters
            for tool in call.tools
            if tool.strict and tool.name != call.output_tool and tool.name not in by_switch
        }
        self._held: dict[int, _Held] = {}
        self._dropped: set[int] = set()
        self._calls = 0

    def read(self, batch: list[Event]) -> list[Event]:
        events: list[Event] = []
        for event in batch:
            match event:
                case ToolCall(index=index, name=name):
                    self._calls += 1
                    if self._calls > 1 and not self._parallel:
                        self._dropped.add(index)
                    elif self._schemas and name != self._output_tool:
                        self._held[index] = _Held(event)
                    else:
                        events.append(event)
                case ToolCallDelta(index=index, arguments=part):
                    if index in self._held:
                        self._held[index].arguments.append(part)
                    elif index not in self._dropped:
                        events.append(event)
                case Done(stop_reason=reason):
                    before_usage = max(len(events) - 1, 0)  # which is the last event here
                    events[before_usage:before_usage] = self._held_calls(cut=reason != "tool_use")
                    events.append(event)
                case _:
                    events.append(event)
        return events

    def _held_calls(self, *, cut: bool) -> list[Event]:
        """Return the calls that were held back. Those of an answer that was cut are not checked."""
        events: list[Event] = []
        for index, held in self._held.items():
            arguments = "".join(held.arguments)
            schema = None if cut else self._schemas.get(held.begin.name)
            if schema is not None and (problem := text_violation(schema, arguments)):
                raise errors.invalid_output(reason=f"of the arguments of the tool {clipped(held.begin.name)!r}, {problem}")
            events += [held.begin, ToolCallDelta(index, arguments)]
        return events


class _Held(msgspec.Struct):
    begin: ToolCall
    arguments: list[str] = []
