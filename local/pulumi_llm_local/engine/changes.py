"""What differs between two sets of a resource's inputs."""

from collections.abc import Iterator
from itertools import zip_longest
from typing import Any, Final, cast

from pulumi_llm_local.aws_types.values import ARCHIVE, ASSET, SIGNATURE, unwrapped

Properties = dict[str, Any]

DEFAULTS: Final = "__defaults"
"""Where a provider notes which of a resource's inputs it made up itself."""


def changes(old: Any, new: Any, path: str = "") -> Iterator[str]:
    """The path of each leaf that differs, within what comes or goes as a whole, too."""
    old, new = _plain(old), _plain(new)
    if isinstance(old or new, dict) and isinstance(old or {}, dict) and isinstance(new or {}, dict):
        olds, news = cast("Properties", old or {}), cast("Properties", new or {})
        for key in sorted({*olds, *news} - {DEFAULTS}):
            yield from changes(olds.get(key), news.get(key), f"{path}.{key}" if path else key)
    elif isinstance(old or new, list) and isinstance(old or [], list) and isinstance(new or [], list):
        pairs = zip_longest(cast("list[Any]", old or []), cast("list[Any]", new or []))
        for index, (before, after) in enumerate(pairs):
            yield from changes(before, after, f"{path}[{index}]")
    elif old != new:
        yield path


def _plain(value: Any) -> Any:
    """A value without a secret's wrapping; of an asset or archive, the hash."""
    value, _ = unwrapped(value)
    if isinstance(value, dict):
        mapping = cast("Properties", value)
        if mapping.get(SIGNATURE) in (ASSET, ARCHIVE):
            return mapping.get("hash")
        return mapping
    return value
