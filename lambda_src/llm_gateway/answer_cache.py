"""How answers are cached, as the routes document has it. `llm_gateway.stages.cache` does it."""

from typing import Literal

import msgspec


class AnswerCache(msgspec.Struct, frozen=True, omit_defaults=True):
    """Answers are used for `ttl_seconds`.

    `when`: "deterministic" are requests at temperature 0; with "asked" also those that name an age which they accept.
    """

    ttl_seconds: int
    when: Literal["deterministic", "asked"] = "deterministic"
