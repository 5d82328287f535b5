"""The model that answers in a local run when no real one was asked for: deterministic, and it says that it is a stand-in.

What a token is here, `tokens` says.
"""

import asyncio
import hashlib
import json
import math
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from fractions import Fraction
from typing import Any, cast
from urllib.parse import unquote

from pulumi_llm_local.upstreams.model import (
    ConverseCall,
    Finish,
    Json,
    Piece,
    ReasoningDelta,
    SignatureDelta,
    StopReason,
    TextBlock,
    TextDelta,
    ToolResultBlock,
    ToolUseDelta,
    ToolUseStart,
)
from pulumi_llm_local.upstreams.tokens import count_tokens, input_tokens

__all__ = ["StandInModel", "count_tokens", "sample"]


class StandInModel:
    """The same call always gets the same answer, one token at a time.

    Offered tools, it calls one with an input that is valid against the tool's schema; given the tool's result, it quotes it;
    else it quotes the prompt. Where the model's traits say so it reasons first. `max_tokens` counts reasoning, text and tool
    input alike; stop sequences are looked for in the text. `first_delay` and `token_delay` are in seconds.
    """

    def __init__(self, first_delay: float = 0.0, token_delay: float = 0.0) -> None:
        self._first_delay = first_delay
        self._token_delay = token_delay

    async def generate(self, call: ConverseCall) -> AsyncIterator[Piece]:
        delay = self._first_delay
        for piece in _answer(call):
            await asyncio.sleep(delay)
            delay = self._token_delay
            yield piece


_TOKEN_WITH_SPACE = re.compile(r"\s*(?:\w+|[^\w\s])|\s+$")


def _answer(call: ConverseCall) -> Iterator[Piece]:
    budget = call.traits.max_output_tokens if call.max_tokens is None else call.max_tokens
    if call.traits.context_tokens is not None:
        budget = min(budget, max(call.traits.context_tokens - input_tokens(call), 0))
    left = budget
    if call.traits.reasoning:
        thought, left = _first_tokens(_reasoning(call), left)
        yield from (ReasoningDelta(token) for token in thought)
        if left:
            yield SignatureDelta(_digest(call, "signature"))
    whole, stop_reason, stopped = False, "max_tokens", None
    if left and _calls_a_tool(call):
        tool = next(tool for tool in call.tools if call.tool_choice != "tool" or tool.name == call.tool_name)
        yield ToolUseStart("tooluse_" + _digest(call, "tool")[:22], tool.name)
        text = json.dumps(sample(tool.schema, _prompt(call)), ensure_ascii=False)
        tokens, left = _first_tokens(text, left)
        yield from (ToolUseDelta(token) for token in tokens)
        whole, stop_reason = "".join(tokens) == text, "tool_use"
    elif left:
        text = _text(call)
        tokens, remaining = _first_tokens(text, left)
        shown, stopped = _until_stop("".join(tokens), call.stop)
        whole, stop_reason = bool(stopped) or shown == text, "stop_sequence" if stopped else "end_turn"
        tokens, left = _first_tokens(shown, left) if stopped else (tokens, remaining)
        yield from (TextDelta(token) for token in tokens)
    reason = cast(StopReason, stop_reason if whole else "max_tokens")
    yield Finish(reason, input_tokens(call), budget - left, stopped)


def _first_tokens(text: str, limit: int) -> tuple[list[str], int]:
    """At most `limit` tokens of `text`, each with the space before it, and how many may still come."""
    tokens = _TOKEN_WITH_SPACE.findall(text)
    counted = count_tokens(text)
    if counted <= limit:
        return tokens, limit - counted  # with the space at the end, which is no token
    return tokens[:limit], 0


def _until_stop(text: str, stop: tuple[str, ...]) -> tuple[str, str | None]:
    """`text` up to the first stop sequence in it, and that sequence."""
    found = [(text.index(sequence), sequence) for sequence in stop if sequence in text]
    return (text[: min(found)[0]], min(found)[1]) if found else (text, None)


def _calls_a_tool(call: ConverseCall) -> bool:
    answered = any(isinstance(block, ToolResultBlock) for block in call.messages[-1].content)
    return bool(call.tools) and not answered


def _reasoning(call: ConverseCall) -> str:
    return f"The user wrote “{_quoted(_prompt(call))}”. I am a stand-in, so I say so, and show where my reasoning appears."


def _text(call: ConverseCall) -> str:
    results = [block for block in call.messages[-1].content if isinstance(block, ToolResultBlock)]
    if results:
        said = " and ".join(f"{'the error ' if result.error else ''}“{result.text}”" for result in results)
        return f"The tool answered {said}. A real model would now put this into words; this is the local stand-in for it."
    name = call.model_id.rpartition("/")[2]
    return (
        f"Hello! This is the local stand-in for {name}: no real model has read your message, and nothing has left this "
        f"machine. You wrote: “{_quoted(_prompt(call))}”. To get a real answer, start the local run again with --model-url and "
        "the address of a model server, or with --bedrock aws."
    )


def _prompt(call: ConverseCall) -> str:
    """The last text that the user wrote, its white space made single spaces."""
    for message in reversed(call.messages):
        texts = [block.text for block in message.content if isinstance(block, TextBlock)]
        if message.role == "user" and texts:
            return " ".join(" ".join(texts).split())
    return ""


def _quoted(prompt: str, words: int = 24) -> str:
    parts = prompt.split()
    return " ".join(parts[:words]) + (" …" if len(parts) > words else "")


def _digest(call: ConverseCall, purpose: str) -> str:
    return hashlib.sha256(f"{purpose} {call.model_id} {call.messages!r} {call.tools!r}".encode()).hexdigest()


# A value for a JSON Schema.


def sample(schema: Json, prompt: str) -> Any:
    """A value that is valid against `schema`, its strings taken from `prompt` where they fit.

    Understood: type (also a list), enum, const, default, properties, required, items, minItems, minimum, maximum,
    exclusiveMinimum, exclusiveMaximum, multipleOf, minLength, maxLength, format (date, date-time, time, uuid, email, uri),
    allOf, anyOf and oneOf (the first that can be met, merged in), and $ref within the document. Not understood, hence perhaps
    not met: pattern, not, if, uniqueItems, minProperties, patternProperties and the like.
    """
    try:
        return _Sampler(schema, prompt).value(schema, frozenset())
    except _Impossible:
        return {}


class _Impossible(Exception):
    """Nothing finite is valid here: a required part that contains itself, or contradicting rules."""


_FORMATS = {
    "date": "2026-01-31",
    "date-time": "2026-01-31T12:00:00Z",
    "time": "12:00:00Z",
    "uuid": "01234567-89ab-4cde-8f01-23456789abcd",
    "email": "user@example.com",
    "uri": "https://example.com/",
}
_KEYWORD_TYPES = {
    "properties": "object",
    "required": "object",
    "items": "array",
    "minItems": "array",
    "minimum": "number",
    "maximum": "number",
    "exclusiveMinimum": "number",
    "exclusiveMaximum": "number",
    "multipleOf": "number",
}


class _Sampler:
    def __init__(self, root: Json, prompt: str) -> None:
        self._root = root
        self._prompt = prompt

    def value(self, schema: Any, refs: frozenset[str]) -> Any:
        """`refs` are the references that lead here: meeting one of them again would never end."""
        if schema is False:
            raise _Impossible
        if not isinstance(schema, dict):
            return self._string({})
        rules = cast(Json, schema)
        if "$ref" in rules:
            return self.value(*self._followed(rules, refs))
        if "allOf" in rules:
            beside = {key: rule for key, rule in rules.items() if key != "allOf"}
            for part in rules["allOf"]:
                part_rules, refs = self._followed(part, refs)
                beside = _merged(beside, part_rules)
            return self.value(beside, refs)
        for keyword in ("anyOf", "oneOf"):
            if keyword in rules:
                return self._first_possible(rules, keyword, refs)
        return self._plain(rules, refs)

    def _resolved(self, ref: str) -> Any:
        if not ref.startswith("#"):
            raise _Impossible
        target: Any = self._root
        for step in ref[1:].split("/")[1:]:
            key = unquote(step).replace("~1", "/").replace("~0", "~")
            try:
                target = cast(Any, target[int(key)] if isinstance(target, list) else target[key])
            except (KeyError, IndexError, ValueError, TypeError):
                raise _Impossible from None
        return target

    def _followed(self, part: Any, refs: frozenset[str]) -> tuple[Any, frozenset[str]]:
        """`part` with its own reference, if it is one, replaced by what that names."""
        rules: Any = part
        while isinstance(rules, dict) and "$ref" in rules:
            beside = dict(cast(Json, rules))
            ref = str(beside.pop("$ref"))
            if ref in refs:
                raise _Impossible
            refs |= {ref}
            rules = _merged(self._resolved(ref), beside)
        return cast(Any, rules), refs

    def _first_possible(self, rules: Json, keyword: str, refs: frozenset[str]) -> Any:
        beside = {key: rule for key, rule in rules.items() if key != keyword}
        for option in rules[keyword]:
            try:
                part, option_refs = self._followed(option, refs)
                return self.value(_merged(beside, part), option_refs)
            except _Impossible:
                continue
        raise _Impossible

    def _plain(self, rules: Json, refs: frozenset[str]) -> Any:
        kinds = _kinds(rules)
        if "const" in rules:
            return rules["const"]
        if "enum" in rules:
            fitting = [item for item in rules["enum"] if kinds is None or any(_is_of(kind, item) for kind in kinds)]
            if not fitting:
                raise _Impossible
            return rules["default"] if "default" in rules and rules["default"] in fitting else fitting[0]
        if "default" in rules:
            return rules["default"]
        if kinds is None:
            kinds = [next((kind for keyword, kind in _KEYWORD_TYPES.items() if keyword in rules), "string")]
        for kind in sorted(kinds, key=lambda kind: kind == "null"):
            try:
                return self._of_kind(kind, rules, refs)
            except _Impossible:
                continue
        raise _Impossible

    def _of_kind(self, kind: str, rules: Json, refs: frozenset[str]) -> Any:
        match kind:
            case "object":
                return self._object(rules, refs)
            case "array":
                return self._array(rules, refs)
            case "integer" | "number":
                return _number(rules, integer=kind == "integer")
            case "boolean":
                return True
            case "null":
                return None
            case "string":
                return self._string(rules)
            case _:
                raise _Impossible

    def _object(self, rules: Json, refs: frozenset[str]) -> Json:
        """The required properties; every possible one where none is required."""
        properties = cast(Json, rules.get("properties", {}))
        required = cast(list[str], rules.get("required", []))
        result = {name: self.value(properties.get(name, True), refs) for name in required}
        for name, schema in properties.items() if not required else ():
            try:
                result[name] = self.value(schema, refs)
            except _Impossible:
                continue
        return result

    def _array(self, rules: Json, refs: frozenset[str]) -> list[Any]:
        least, most = int(rules.get("minItems", 0)), rules.get("maxItems", math.inf)
        if least > most:
            raise _Impossible
        try:
            item = self.value(rules.get("items", True), refs)
        except _Impossible:
            if least:
                raise
            return []
        return [item] * int(min(max(least, 1), most))

    def _string(self, rules: Json) -> str:
        least, most = int(rules.get("minLength", 0)), rules.get("maxLength")
        if most is not None and least > most:
            raise _Impossible
        text = _FORMATS.get(str(rules.get("format", "")), self._prompt or "text")
        if "format" not in rules and most is not None:
            text = text[: int(most)]
        return text.ljust(least, "x")


def _merged(one: Any, other: Any) -> Any:
    """What is valid against both, as far as the keywords that `sample` understands go."""
    if one is True or other is True:
        return other if one is True else one
    if one is False or other is False:
        return False
    merged: Json = dict(one)
    for key, rule in other.items():
        merged[key] = _both(key, merged[key], rule) if key in merged else rule
    return merged


def _both(key: str, one: Any, other: Any) -> Any:
    match key:
        case "properties":
            both = cast(dict[str, Any], one)
            return {**both, **{name: _merged(both.get(name, True), rule) for name, rule in other.items()}}
        case "required":
            return [*one, *(name for name in other if name not in one)]
        case "enum":
            return [item for item in one if item in other]
        case "type":
            return [kind for kind in _listed(one) if _allows(_listed(other), kind)] + [
                kind for kind in _listed(other) if kind not in _listed(one) and _allows(_listed(one), kind)
            ]
        case "items":
            return _merged(one, other)
        case "allOf":
            return [*one, *other]
        case "anyOf" | "oneOf":
            return [_merged(left, right) for left in one for right in other]
        case "minimum" | "exclusiveMinimum" | "minLength" | "minItems":
            return max(one, other)
        case "maximum" | "exclusiveMaximum" | "maxLength" | "maxItems":
            return min(one, other)
        case "multipleOf":
            return _common_multiple(one, other)
        case _:
            return other


def _listed(kind: Any) -> list[str]:
    return cast(list[str], kind) if isinstance(kind, list) else [str(kind)]


def _kinds(schema: Mapping[str, Any]) -> list[str] | None:
    return _listed(schema["type"]) if "type" in schema else None


def _allows(kinds: list[str], kind: str) -> bool:
    return kind in kinds or (kind == "integer" and "number" in kinds)


def _is_of(kind: str, value: Any) -> bool:
    match value:
        case None:
            return kind == "null"
        case bool():
            return kind == "boolean"
        case int() | float():
            return kind == "number" or (kind == "integer" and value == int(value))
        case str():
            return kind == "string"
        case list():
            return kind == "array"
        case _:
            return kind == "object"


def _common_multiple(one: float, other: float) -> float:
    left, right = Fraction(str(one)), Fraction(str(other))
    return _as_json(Fraction(math.lcm(left.numerator, right.numerator), math.gcd(left.denominator, right.denominator)))


def _number(rules: Json, *, integer: bool) -> float:
    """The lowest number allowed, or the highest where only that is bounded, or 1."""
    low, above = _bound(rules, "minimum", "exclusiveMinimum", lowest=True)
    high, below = _bound(rules, "maximum", "exclusiveMaximum", lowest=False)
    step = Fraction(str(rules["multipleOf"])) if "multipleOf" in rules else None
    if integer:
        step = Fraction(1) if step is None else Fraction(step.numerator)
    if step is None:
        value = _between(low, above, high, below)
    elif low is not None:
        value = (math.floor(low / step) + 1 if above else math.ceil(low / step)) * step
    elif high is not None:
        value = (math.ceil(high / step) - 1 if below else math.floor(high / step)) * step
    else:
        value = step
    if high is not None and (value > high or (below and value == high)):
        raise _Impossible
    if low is not None and (value < low or (above and value == low)):
        raise _Impossible
    return _as_json(value)


def _bound(rules: Json, inclusive: str, exclusive: str, *, lowest: bool) -> tuple[Fraction | None, bool]:
    """The tighter of two bounds, and whether it is itself excluded. (In draft 4 the exclusive one is a boolean.)"""
    given = [(Fraction(str(rules[inclusive])), rules.get(exclusive) is True)] if inclusive in rules else []
    if exclusive in rules and not isinstance(rules[exclusive], bool):
        given.append((Fraction(str(rules[exclusive])), True))
    if not given:
        return None, False
    return max(given, key=lambda bound: (bound[0] if lowest else -bound[0], bound[1]))


def _between(low: Fraction | None, above: bool, high: Fraction | None, below: bool) -> Fraction:
    if low is None:
        return Fraction(1) if high is None else high - 1 if below else high
    if not above:
        return low
    return low + 1 if high is None else (low + high) / 2


def _as_json(value: Fraction) -> float:
    return int(value) if value.denominator == 1 else float(value)
