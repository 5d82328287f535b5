"""The parameters of OpenAI's chat format that only some models have, those that describe a request, and those that none has.

https://platform.openai.com/docs/api-reference/chat/create
"""

from typing import Any

from llm_functions.api_formats.fields import Fields, kind
from llm_gateway.errors import clipped
from llm_gateway.request import HINTS, RARE_PARAMETERS

# What this service does not have: the values that ask for nothing, and what to do instead.
UNAVAILABLE: dict[str, tuple[tuple[Any, ...], str]] = {
    "n": ((1,), "only 1 is possible; send the request again for another answer"),
    "modalities": ((["text"],), 'only ["text"] is possible; answers are text'),
    "audio": ((), "answers are text; leave it out"),
    "store": ((False,), "only false is possible, for no answer is kept; leave it out"),
    "web_search_options": ((), "there is no search here; offer a tool that searches"),
    "moderation": ((), "there is no such switch here; leave it out"),
    "functions": (([],), "is OpenAI's older form of tools; use tools"),
    "function_call": (("none", "auto"), "is OpenAI's older form of tool_choice; use tool_choice"),
}
PENALTIES = ("frequency_penalty", "presence_penalty")
MOST_TOP_LOGPROBS = 20
SEEDS = (-(2**63), 2**63 - 1)
# The hints that are no text.
OBJECTS = ("metadata", "prediction", "prompt_cache_options")
VERBOSITIES = ("low", "medium", "high")
# Values of hints that ask for nothing.
_USUAL: dict[str, tuple[Any, ...]] = {"service_tier": ("auto", "default"), "metadata": ({},), "prompt_cache_options": ({},)}

_NAMES = frozenset((*UNAVAILABLE, *RARE_PARAMETERS, "top_logprobs", *HINTS))


def other_parameters(fields: Fields) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the `rare` parameters and the `hints` of a request, without those whose values ask for nothing."""
    rare: dict[str, Any] = {}
    hints: dict[str, Any] = {}
    for name in fields.given(_NAMES):
        if name in UNAVAILABLE:
            usual, reason = UNAVAILABLE[name]
            value = fields.any(name)
            if not any(_equal(value, each) for each in usual):
                fields.wrong(name, reason)
        elif name in HINTS:
            if (value := hint(fields, name)) is not None:
                hints[name] = value
        elif value := _rare(fields, name):
            rare[name] = value
    if "top_logprobs" in rare and "logprobs" not in rare:
        fields.wrong("top_logprobs", "needs logprobs: true")
    return rare, hints


def _rare(fields: Fields, name: str) -> Any:
    """Return the value of a parameter; it is false for one that asks for nothing."""
    match name:
        case "logprobs":
            return fields.boolean(name)
        case "top_logprobs":
            return fields.integer(name, 0, MOST_TOP_LOGPROBS)
        case "logit_bias":
            return _object(fields, name)
        case _:
            return fields.number(name, -2, 2)


def hint(fields: Fields, name: str) -> Any:
    """Return the value of a hint; None for one that asks for nothing."""
    value = _hint(fields, name)
    return None if value in _USUAL.get(name, ()) else value


def _hint(fields: Fields, name: str) -> Any:
    if name == "seed":
        return fields.integer(name, *SEEDS)
    if name in OBJECTS:
        return _object(fields, name)
    text = fields.string(name)
    if name == "verbosity" and text is not None and text not in VERBOSITIES:
        fields.wrong(name, f"must be low, medium or high, not {clipped(text)!r}")
    return text


def _object(fields: Fields, name: str) -> Any:
    value = fields.any(name)
    if not isinstance(value, dict):
        fields.wrong(name, f"must be an object, not {kind(value)}")
        return None
    fields.check_nesting(name, value)  # pyright: ignore[reportUnknownArgumentType]
    return value  # pyright: ignore[reportUnknownVariableType]


def _equal(value: Any, other: Any) -> bool:
    """Whether two JSON values are equal. In Python, true equals 1."""
    return isinstance(value, bool) == isinstance(other, bool) and value == other
