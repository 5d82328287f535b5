"""What conversations are checked for, as the routes document has it. `llm_gateway.checked_router` does it."""

from collections.abc import Mapping
from typing import Literal

import msgspec

# What is done with a text in which something was found. "mask": it is replaced. "shadow": it is only recorded.
Mode = Literal["block", "mask", "shadow"]
FilterName = Literal["length", "control_characters", "injection", "pii"]


class Filter(msgspec.Struct, frozen=True, omit_defaults=True):
    """A filter of prompts.

    `most` is the most characters of a prompt, for "length"; `kinds` are those of `stages.prompt_filters.PII`, for "pii";
    `patterns` are expressions by their names, and `builtin` whether the known ones are looked for, for "injection".
    """

    name: FilterName
    mode: Mode = "block"
    most: int = 0
    kinds: tuple[str, ...] = ()
    builtin: bool = True
    patterns: Mapping[str, str] = {}


class GuardrailUse(msgspec.Struct, frozen=True, omit_defaults=True):
    """How a guardrail of Bedrock's is used. The environment says which one it is.

    `shadow`: what it finds is only recorded. `fail_open`: where it cannot be asked, the call goes on. `prompts`, `answers`:
    what it checks; `system_prompts`: system prompts and the descriptions of tools, too. A stream's text is checked when
    `window_characters` of it have come, or after `window_seconds`. `regions` are those where it may evaluate texts besides the
    function's own.
    """

    shadow: bool = False
    fail_open: bool = False
    prompts: bool = True
    system_prompts: bool = True
    answers: bool = True
    window_characters: int = 1_000
    window_seconds: float = 2.0
    regions: tuple[str, ...] = ()


class Safety(msgspec.Struct, frozen=True, omit_defaults=True):
    """The filters of prompts, in their order, and the guardrail, if any."""

    filters: tuple[Filter, ...] = ()
    guardrail: GuardrailUse | None = None
