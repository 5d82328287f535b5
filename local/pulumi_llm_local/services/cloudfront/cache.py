"""Cache policies whose cache key is the path alone: how long CloudFront keeps an answer.

https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/Expiration.html
"""

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from multidict import CIMultiDict

from pulumi_llm_local.program.graph import Graph

CACHE_POLICY = "aws:cloudfront/cachePolicy:CachePolicy"
_PART = "parametersInCacheKeyAndForwardedToOrigin"
# A larger answer is not kept: the run's memory is for other things.
_MOST_BYTES = 1024 * 1024


@dataclass(frozen=True)
class Kept:
    """An answer that was kept, and when."""

    headers: CIMultiDict[str]
    body: bytes
    kept_at: float
    seconds: float


class Cache:
    """What a behavior keeps, by its path."""

    def __init__(self, state: Mapping[str, Any], clock: Callable[[], float] = time.monotonic) -> None:
        # https://docs.aws.amazon.com/cloudfront/latest/APIReference/API_CachePolicyConfig.html
        self._least = float(state.get("minTtl") or 0)
        self._usual = float(state.get("defaultTtl", 86_400))
        self._most = float(state.get("maxTtl", 31_536_000))
        self._clock = clock
        self._kept: dict[str, Kept] = {}

    def find(self, path: str) -> tuple[Kept, int] | None:
        """Return the answer for a path, and its age in seconds."""
        kept = self._kept.get(path)
        age = self._clock() - kept.kept_at if kept else 0.0
        return (kept, int(age)) if kept and age < kept.seconds else None

    def keep(self, path: str, headers: CIMultiDict[str], body: bytes) -> None:
        """Keep an answer of status 200 as long as its Cache-Control and the policy say."""
        seconds = self._seconds(headers.get("cache-control", "").lower())
        if seconds > 0 and len(body) <= _MOST_BYTES:
            self._kept[path] = Kept(headers.copy(), body, self._clock(), seconds)

    def _seconds(self, control: str) -> float:
        if re.search(r"\b(no-cache|no-store|private)\b", control):
            return self._least
        # "If both are present, CloudFront uses the s-maxage value."
        given = re.search(r"\bs-maxage=(\d+)", control) or re.search(r"\bmax-age=(\d+)", control)
        return min(max(float(given[1]) if given else self._usual, self._least), max(self._most, self._least))


def find_cache(graph: Graph, identifier: str) -> Cache | None:
    """The cache of a policy of the program's own, None if it is not one, or its key has more than the path."""
    own = next((policy for policy in graph.of_type(CACHE_POLICY) if policy.id == identifier), None)
    return Cache(own.state) if own is not None and _is_of_path(own.state) else None


def cache_missing(graph: Graph, identifier: str) -> bool:
    """Whether a policy of the program's own is not played."""
    return any(policy.id == identifier and not _is_of_path(policy.state) for policy in graph.of_type(CACHE_POLICY))


def _is_of_path(state: Mapping[str, Any]) -> bool:
    part: Mapping[str, Mapping[str, Any]] = state[_PART]
    kinds = (part["headersConfig"].get("headerBehavior"), part["cookiesConfig"].get("cookieBehavior"))
    return {*kinds, part["queryStringsConfig"].get("queryStringBehavior")} <= {None, "none"}
