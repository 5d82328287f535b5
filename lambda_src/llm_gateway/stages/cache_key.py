"""Stage 5: what the key of a cached answer is made of."""

import hashlib
from collections.abc import Sequence
from typing import Any

import msgspec

from llm_gateway.request import NUMERIC_PARAMETERS, ChatRequest, Sampling
from llm_gateway.routes import Alias

# Hints that describe a request and change no answer.
_NOT_MEANT = ("metadata", "service_tier", "prompt_cache_key", "prompt_cache_options", "prompt_cache_retention")


def cache_key(version: str, tenant: str, alias: Alias, request: ChatRequest) -> str:
    """Return the key of an answer. Requests in different API formats that ask for the same have the same one.

    What only says how an answer is sent, kept by a provider, or named in an error is not part of it.
    """
    meant = msgspec.structs.replace(
        request,
        messages=tuple(msgspec.structs.replace(message, place="", cache=False) for message in request.messages),
        tools=tuple(msgspec.structs.replace(tool, cache=False) for tool in request.tools),
        sampling=_with_floats(request.sampling),
        defaults=_with_floats(request.defaults),
        hints={name: value for name, value in request.hints.items() if name not in _NOT_MEANT},
        model="",
        stream=False,
        names={},
        cache_system=False,
    )
    return f"answer-{digest([version, tenant, alias, meant])}"


def without_unmeant(dropped: Sequence[str]) -> tuple[str, ...]:
    """Return the names of what a target does not know, without those that are not part of a key."""
    return tuple(name for name in dropped if name not in _NOT_MEANT)


def _with_floats(sampling: Sampling) -> Sampling:
    """Return the same with numbers of one type: JSON's 0 and 0.0 are one."""
    numbers = {name: getattr(sampling, name) for name in NUMERIC_PARAMETERS}
    return msgspec.structs.replace(sampling, **{name: float(value) for name, value in numbers.items() if value is not None})


def digest(value: Any) -> str:
    return hashlib.sha256(msgspec.json.encode(value, order="sorted")).hexdigest()
