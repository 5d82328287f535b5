"""The cache of answers: as settings, and as the functions read it."""

from typing import Annotated, Literal

import msgspec

from llm_gateway import answer_cache as document
from pulumi_llm.base.settings import Between, Count, Settings
from pulumi_llm.routing import Routing


class AnswerCacheSettings(Settings):
    """A cache of answers to chats. Entries are a tenant's own."""

    ttl_seconds: Annotated[Count, Between(1, 2_592_000)] = 3_600
    """How long an answer is used, in seconds."""
    when: Literal["deterministic", "asked"] = "deterministic"
    """Which requests get a cached answer: "deterministic" are those at temperature 0; with "asked", also those that ask for one
    by `Cache-Control: max-age=…`."""


class CachedSettings(Settings):
    """What is cached."""

    cache: AnswerCacheSettings | None = None
    """Cache answers, so that equal requests of a tenant are generated once. Default: each request is."""

    def cached(self, routing: Routing) -> Routing:
        """The routing, with how answers are cached."""
        if self.cache is None or not self.cache.valid("ttl_seconds", "when"):
            return routing
        cache = document.AnswerCache(self.cache.ttl_seconds, self.cache.when)
        return routing._replace(routes=msgspec.structs.replace(routing.routes, cache=cache))
