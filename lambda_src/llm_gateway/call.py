"""Makes the call of one target from a request: the parameters that the target accepts, within its bounds."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from llm_gateway.errors import Problem, invalid_request
from llm_gateway.estimate import request_tokens
from llm_gateway.identity.caller import ANONYMOUS, Caller
from llm_gateway.request import (
    NEUTRAL,
    NUMERIC_PARAMETERS,
    Cache,
    ChatRequest,
    Message,
    ResponseFormat,
    Sampling,
    Tool,
    ToolChoice,
)
from llm_gateway.routes import BEDROCK, Alias, Target


class Guardrail(msgspec.Struct, frozen=True):
    """A guardrail of Bedrock's that checks the request and the answer. `trace` asks for what it found."""

    identifier: str
    version: str
    trace: bool = False


class ModelCall(msgspec.Struct, frozen=True):
    """One call of one target.

    `sampling.max_tokens` is always set: providers reserve it, and it limits the cost. `deadline` is a time of the running
    loop's clock. `stall_seconds` is how long a stream may be silent between two parts. `rare` and `hints` are those of
    `ChatRequest` that the target accepts, `dropped` the names of the hints and parameters that it does not.
    `cut` are the stop sequences that the target does not take, before which the gateway ends the answer.
    `is_bounded_by_default`: the caller gave no `max_tokens`. `bound_name` is what the caller's API format calls it.

    `response_format` is for the provider's own switch, `checked_schema` the schema that the gateway checks the answer's text by
    where the switch does not hold to it. Where the provider has no switch, the answer is the arguments of the tool
    `output_tool`, empty if there is none, or with `object_in_text` the JSON object in the text.
    `cache_system` marks a cache point after the system text.
    `thinking` is that of `ChatRequest`. `must_call` is a tool choice that the target does not take and that is asked for
    in words, "none" too. `guardrail` and `request_metadata`, which is kept in the logs of invocations, are for Bedrock.
    """

    target: Target
    messages: tuple[Message, ...]
    system: str | None
    sampling: Sampling
    tools: tuple[Tool, ...]
    tool_choice: ToolChoice
    stream: bool
    deadline: float
    stall_seconds: float
    caller: Caller = ANONYMOUS
    response_format: ResponseFormat | None = None
    checked_schema: dict[str, Any] | None = None
    output_tool: str = ""
    object_in_text: bool = False
    rare: Mapping[str, Any] = {}
    hints: Mapping[str, Any] = {}
    dropped: tuple[str, ...] = ()
    parallel_tool_calls: bool = True
    cut: tuple[str, ...] = ()
    is_bounded_by_default: bool = False
    bound_name: str = "max_tokens"
    cache_system: Cache = False
    thinking: Mapping[str, Any] = {}
    must_call: ToolChoice | None = None
    guardrail: Guardrail | None = None
    request_metadata: Mapping[str, str] = {}


def model_call(request: ChatRequest, alias: Alias, target: Target, deadline: float, caller: Caller = ANONYMOUS) -> ModelCall:
    """Return the call of `target`, one of `alias`, for `request`.

    A default is left out if the target does not accept the parameter, or accepts only one of several and the caller gave
    another. Raises the error 400, which names every given parameter that the target does not accept or that exceeds its bounds.
    """
    explicit = _without_neutral(request.sampling, target)
    dropped: tuple[str, ...] = ()
    if not request.exact:
        explicit, dropped = _accepted(explicit, request, target)
    problems = _problems(request, explicit, alias, target)
    if problems:
        raise invalid_request(problems)
    sampling = _sampling(explicit, request, alias, target)
    hints: Mapping[str, Any] = {}
    if request.hints:
        hints, unknown = _hints(request.hints, target)
        dropped += unknown
    return ModelCall(
        target=target,
        messages=_turns(request.messages, target),
        system=_system(request, target),
        sampling=sampling,
        tools=request.tools,
        tool_choice=request.tool_choice,
        stream=request.stream and (not request.uses_tools or "stream_tools" in target.accepts),
        deadline=deadline,
        stall_seconds=alias.stall_seconds,
        caller=caller,
        cache_system=request.cache_system,
        rare=request.rare,
        hints=hints,
        dropped=dropped,
        parallel_tool_calls=request.parallel_tool_calls,
        cut=tuple(each for each in explicit.stop if each not in sampling.stop) if explicit.stop else (),
        is_bounded_by_default=request.sampling.max_tokens is None,
        bound_name=request.name("max_tokens"),
        thinking=_thinking(request, sampling) if request.thinking and "reasoning_effort" in target.accepts else {},
    )


def instructed(call: ModelCall, instruction: str) -> ModelCall:
    """Return the call with an instruction after its system text, in the user's last turn where the target takes none."""
    if "system" in call.target.accepts:
        return msgspec.structs.replace(call, system="\n\n".join(filter(None, (call.system, instruction))))
    from llm_gateway.system_messages import in_last_turn

    return msgspec.structs.replace(call, messages=in_last_turn(call.messages, instruction))


def _thinking(request: ChatRequest, sampling: Sampling) -> Mapping[str, Any]:
    """Return what the caller says of thinking. Where the bound of the answer is lowered, so is the budget, in proportion."""
    budget, wanted, bound = request.thinking.get("budget_tokens"), request.sampling.max_tokens, sampling.max_tokens
    if budget is None or wanted is None or bound is None or bound >= wanted:
        return request.thinking
    return {**request.thinking, "budget_tokens": budget * bound // wanted}


def _accepted(given: Sampling, request: ChatRequest, target: Target) -> tuple[Sampling, tuple[str, ...]]:
    """Return the caller's parameters that the target accepts, and the names of the others.

    Frameworks send a temperature or an effort with every request, whatever the model takes.
    """
    left_out = [name for name in _OPTIONAL if getattr(given, name) is not None and name not in target.accepts]
    left_out += [name for name in target.exclusive if getattr(given, name) is not None][1:]
    if _thinks(given, request.thinking, target):
        left_out += [name for name, least in _LEAST_WHILE_THINKING.items() if _is_below(getattr(given, name), least)]
    if not left_out:
        return given, ()
    named = dict.fromkeys(request.name(name) for name in left_out if getattr(given, name) != "none")
    return msgspec.structs.replace(given, **dict.fromkeys(left_out)), tuple(named)


_OPTIONAL = (*NUMERIC_PARAMETERS, "reasoning_effort")
# Claude takes no smaller ones while it thinks.
# https://platform.claude.com/docs/en/build-with-claude/extended-thinking#feature-compatibility
_LEAST_WHILE_THINKING = {"temperature": 1.0, "top_p": 0.95}


def _thinks(given: Sampling, asked: Mapping[str, Any], target: Target) -> bool:
    if "reasoning_effort" not in target.accepts or not is_claude(target):
        return False
    return asked.get("type") not in (None, "disabled") if asked else given.reasoning_effort not in (None, "none")


def _is_below(value: float | None, least: float) -> bool:
    return value is not None and value < least


def is_claude(target: Target) -> bool:
    """Whether a target is one of Anthropic's models."""
    return "claude" in target.name or "claude" in target.model


def is_nova(target: Target) -> bool:
    """Whether a target is one of Amazon's Nova models."""
    return "nova" in target.name or "nova" in target.model


def _hints(hints: Mapping[str, Any], target: Target) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return the hints that the target knows, and the names of the others."""
    known = {name: value for name, value in hints.items() if name in target.accepts}
    return known, tuple(sorted(hints.keys() - known.keys()))


def _without_neutral(given: Sampling, target: Target) -> Sampling:
    """Return the caller's parameters without those that change nothing and that the target does not take, alone or together."""
    for name in NUMERIC_PARAMETERS:
        if getattr(given, name) != NEUTRAL:
            continue
        beside = name in target.exclusive and any(
            other != name and getattr(given, other) is not None for other in target.exclusive
        )
        if beside or name not in target.accepts:
            given = msgspec.structs.replace(given, **{name: None})
    return given


def _problems(request: ChatRequest, explicit: Sampling, alias: Alias, target: Target) -> list[Problem]:
    problems: list[Problem] = []

    def wrong(field: str, reason: str) -> None:
        problems.append(Problem(request.name(field), f"{alias.name} {reason}"))

    def accepted(field: str, given: bool) -> bool:
        if given and field not in target.accepts:
            wrong(field, "does not take it; leave it out")
            return False
        return given

    if request.exact and explicit.max_tokens is not None and explicit.max_tokens > target.max_output_tokens:
        wrong("max_tokens", f"answers at most {target.max_output_tokens}, not {explicit.max_tokens}")
    for name in NUMERIC_PARAMETERS:
        accepted(name, getattr(explicit, name) is not None)
    temperature = explicit.temperature
    if temperature is not None and "temperature" in target.accepts and temperature > target.temperature_max:
        wrong("temperature", f"takes 0 to {target.temperature_max:g}, not {temperature:g}")
    accepted("tools", request.uses_tools)
    for tool in request.tools:
        if tool.anthropics and "anthropic_tools" not in target.accepts:
            reason = f"does not know {tool.anthropics['type']!r}, which is Anthropic's; give a tool of your own with an"
            wrong("tools", f"{reason} input_schema, or name a model whose provider is Anthropic")
    for name in request.rare:
        if name != "top_logprobs":  # it belongs to logprobs
            accepted(name, given=True)
    if with_parts := [message for message in request.messages if message.parts]:
        problems += _media_problems(with_parts, alias, target)
    if request.system is not None and "system" not in target.accepts:
        wrong("system", "does not take a system prompt; put it into the message")
    chosen = [name for name in target.exclusive if getattr(explicit, name) is not None]
    if len(chosen) > 1:
        wrong(chosen[1], f"takes {' or '.join(chosen)}, not both; leave one out")
    return problems


def _media_problems(messages: Iterable[Message], alias: Alias, target: Target) -> Iterator[Problem]:
    """Yield a problem for each message with media that the target cannot be sent."""
    counts = {"image": 0, "document": 0}
    for message in messages:
        for part in message.parts:
            if isinstance(part, str):
                continue
            field = f"{message.place}.content"
            counts[part.kind] += 1
            if f"{part.kind}s" not in target.accepts:
                yield Problem(
                    field, f"{alias.name} does not take {part.kind}s; leave it out, or name a model that accepts them"
                )
            elif part.url and "image_urls" not in target.accepts:
                reason = f"{alias.name} does not take addresses of {part.kind}s, and nothing is fetched here"
                yield Problem(field, f"{reason}; send the {part.kind} itself as base64")
            elif target.provider == BEDROCK and counts[part.kind] == _BEDROCK_MOST[part.kind] + 1:
                yield Problem(field, f"{alias.name} takes at most {_BEDROCK_MOST[part.kind]} {part.kind}s in a conversation")


# https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Message.html. Its bounds of bytes, 3.75 MB an image and
# 4.5 MB a document, are beyond what a body may have.
_BEDROCK_MOST = {"image": 20, "document": 5}


def _turns(messages: tuple[Message, ...], target: Target) -> tuple[Message, ...]:
    """Return the turns that say something: most providers refuse others. Those of the system are as the target takes them."""
    said = [message for message in messages if not message.is_empty]
    for message in said:
        if message.role == "system":
            from llm_gateway.system_messages import as_taken

            return as_taken(said, target)
    return messages if len(said) == len(messages) else tuple(said)


def _system(request: ChatRequest, target: Target) -> str | None:
    if request.system is not None:
        return None if request.system.isspace() else request.system  # Bedrock refuses a blank text
    return request.default_system if "system" in target.accepts else None


def _stop(sequences: tuple[str, ...], target: Target) -> tuple[str, ...]:
    """Return the stop sequences that the target takes. Claude takes none of white space alone (BerriAI/litellm#3286)."""
    if is_claude(target):
        sequences = tuple(each for each in sequences if each.strip())
    return sequences[: target.stop_max]


# Of a model's context: how much an answer may be before its room is looked at, and the least that it is lowered to. Where
# there is less room, the target says itself that the conversation is too long.
_ROOM_SHARE = 4
_LEAST_ROOM = 1024


def _fitting(max_tokens: int, request: ChatRequest, target: Target) -> int:
    """Return the bound of an answer that fits into the context beside the request, as far as an estimate tells.

    vLLM and Anthropic refuse a request whose tokens and bound are more than the context.
    """
    if max_tokens * _ROOM_SHARE <= target.context_tokens:
        return max_tokens
    # A quarter more, for texts that have fewer characters per token, and for what a template adds.
    taken = request_tokens(request.system, request.messages, request.tools) * 5 // 4
    return min(max_tokens, max(target.context_tokens - taken, _LEAST_ROOM))


def _sampling(explicit: Sampling, request: ChatRequest, alias: Alias, target: Target) -> Sampling:
    defaults = request.defaults
    max_tokens = min(explicit.max_tokens or defaults.max_tokens or alias.default_max_tokens, target.max_output_tokens)
    if explicit.max_tokens is None or not request.exact:
        max_tokens = _fitting(max_tokens, request, target)
    # Of parameters that exclude each other, the one that the caller gave is sent, else the first that has a default.
    candidates = [name for name in target.exclusive if getattr(explicit, name) is not None] or [
        name for name in target.exclusive if getattr(defaults, name) is not None
    ]
    excluded = set(target.exclusive) - set(candidates[:1])

    def value(name: str) -> float | None:
        given: float | None = getattr(explicit, name)
        if given is not None:
            return given
        if name not in target.accepts or name in excluded:
            return None
        return getattr(defaults, name)

    numbers: dict[str, Any] = {name: value(name) for name in NUMERIC_PARAMETERS}
    if numbers["temperature"] is not None:
        numbers["temperature"] = min(numbers["temperature"], target.temperature_max)
    return Sampling(
        **numbers,
        max_tokens=max_tokens,
        stop=_stop(explicit.stop, target) if explicit.stop and "stop" in target.accepts else (),
        reasoning_effort=(explicit.reasoning_effort or defaults.reasoning_effort)
        if "reasoning_effort" in target.accepts
        else None,
    )
