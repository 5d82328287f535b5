"""What callers have used, as it is counted by days: the items of its table.

A caller has items for each day, one for each alias and target, and so has its tenant. `usage_writer` adds to them, and
`usage_history` sums them up.
"""

import hashlib
from collections.abc import Mapping
from typing import Final

import msgspec

from llm_gateway.aws.dynamodb import Item
from llm_gateway.tables import USAGE

# The numbers of an item, by which its attributes are named.
MEASURES: Final = (
    "requests",
    "errors",
    "cache_hits",
    "input_tokens",
    "output_tokens",
    "cached_tokens",
    "micro_usd",
    "unpriced_requests",
)
ALIAS: Final = "alias"
TARGET: Final = "target"
# When something was last added, in seconds since the epoch.
AS_OF: Final = "as_of"
# An item is divided, so that writers at the same time seldom meet at one. A read sums its parts up.
PARTS: Final = 10
# DynamoDB's sort keys have up to 1,024 bytes.
_LONGEST_NAMES = 900


def key(holder: str, day: str, part: int, alias: str, target: str) -> Item:
    """Return the key of an item. `day` is such as 2026-11-30."""
    names = msgspec.json.encode([alias, target])
    text = names.decode() if len(names) <= _LONGEST_NAMES else hashlib.sha256(names).hexdigest()
    return {USAGE.hash_key: {"S": holder}, USAGE.sort_key: {"S": f"{day} {part} {text}"}}


def part_of(source: str) -> int:
    """Return the part of items that what comes from a source is added to."""
    return hashlib.sha256(source.encode()).digest()[0] % PARTS


def range_of(first_day: str, last_day: str) -> Mapping[str, dict[str, str]]:
    """Return between which sort keys the items of these days and those between them are."""
    return {":first": {"S": f"{first_day} "}, ":last": {"S": f"{last_day} ~"}}
