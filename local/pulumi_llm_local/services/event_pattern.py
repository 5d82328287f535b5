"""EventBridge's event patterns: which events a rule or a pipe takes.

https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-event-patterns.html
https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern-operators.html

Not played: `cidr` and `wildcard`.
"""

import json
import operator
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, cast

_ABSENT: Final = object()
_COMPARISONS: Final[Mapping[str, Callable[[float, float], bool]]] = {
    "<": operator.lt,
    "<=": operator.le,
    "=": operator.eq,
    ">=": operator.ge,
    ">": operator.gt,
}
# "EventBridge uses a limit of 5e9": numbers that match are between -5e9 and 5e9.
_LARGEST_NUMBER: Final = 5e9


class EventPatternError(Exception):
    """AWS refuses the pattern, or it is not played here; the text says what of it."""


class EventPattern:
    """One pattern. Raises `EventPatternError`.

    Args:
        text: The pattern as JSON.
        of_pipe: It is a pipe's filter: these have fewer operators than rules.
    """

    def __init__(self, text: str, *, of_pipe: bool = False) -> None:
        try:
            pattern = json.loads(text)
        except ValueError as error:
            raise EventPatternError(f"the event pattern is not JSON: {error}") from None
        if not isinstance(pattern, dict):
            raise EventPatternError("the event pattern is not a JSON object")
        self._pattern = cast("dict[str, Any]", pattern)
        _check(self._pattern, "", of_pipe=of_pipe)

    def matches(self, event: Mapping[str, Any]) -> bool:
        """Tell whether every field of the pattern is met by the event."""
        return _matches(self._pattern, event)


def _check(pattern: Mapping[str, Any], path: str, *, of_pipe: bool) -> None:
    if not pattern:
        raise EventPatternError(f"{path or 'the event pattern'}: an empty object matches nothing")
    for key, wanted in pattern.items():
        place = f"{path}.{key}" if path else key
        if key == "$or":
            if not isinstance(wanted, list) or len(cast("list[Any]", wanted)) < 2:
                raise EventPatternError(f"{place}: $or has a list of at least two patterns")
            for each in cast("list[Any]", wanted):
                if not isinstance(each, dict):
                    raise EventPatternError(f"{place}: $or has a list of patterns, which are objects")
                _check(cast("dict[str, Any]", each), place, of_pipe=of_pipe)
        elif isinstance(wanted, dict):
            _check(cast("dict[str, Any]", wanted), place, of_pipe=of_pipe)
        elif isinstance(wanted, list) and wanted:
            for each in cast("list[Any]", wanted):
                _check_condition(each, place, of_pipe=of_pipe)
        else:
            raise EventPatternError(f"{place}: {json.dumps(wanted)} must be an object, or an array that is not empty")


def _check_condition(condition: Any, place: str, *, of_pipe: bool) -> None:
    if isinstance(condition, list):
        raise EventPatternError(f"{place}: an array in an array is not supported")
    if not isinstance(condition, dict):
        return
    given = cast("dict[str, Any]", condition)
    if len(given) != 1:
        raise EventPatternError(f"{place}: a condition has one operator, not {len(given)}")
    ((name, value),) = given.items()
    if name not in _OPERATORS:
        raise EventPatternError(f"{place}: the operator {name} is unknown, or not played")
    if name == "anything-but" and isinstance(value, dict):
        inner = cast("dict[str, Any]", value)
        if of_pipe:
            raise EventPatternError(f"{place}: a pipe's filter has no anything-but with {', '.join(inner)}")
        if len(inner) != 1 or not set(inner) <= {"prefix", "suffix", "equals-ignore-case"}:
            raise EventPatternError(f"{place}: anything-but with {', '.join(inner)} is unknown, or not played")
        ((name, value),) = inner.items()
        values = cast("list[Any]", value) if isinstance(value, list) else [value]
        valid = bool(values) and all(isinstance(each, str) for each in values)
    else:
        valid = _VALUES[name](value)
    if not valid:
        raise EventPatternError(f"{place}: {json.dumps(value)} is no value of the operator {name}")


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_affix(value: Any) -> bool:
    """A text, or ``{"equals-ignore-case": text}``."""
    if isinstance(value, dict):
        inner = cast("dict[str, Any]", value)
        return list(inner) == ["equals-ignore-case"] and _is_text(inner["equals-ignore-case"])
    return _is_text(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_excluded(value: Any) -> bool:
    """A text or a number, or a list of one of the two kinds."""
    values = cast("list[Any]", value) if isinstance(value, list) else [value]
    return bool(values) and (all(map(_is_text, values)) or all(map(_is_number, values)))


def _is_comparison(value: Any) -> bool:
    """One or two comparisons in a row: ``[">", 0, "<=", 5]``."""
    if not isinstance(value, list):
        return False
    parts = cast("list[Any]", value)
    return len(parts) in (2, 4) and all(
        name in _COMPARISONS and _is_number(number) and abs(number) <= _LARGEST_NUMBER
        for name, number in zip(parts[::2], parts[1::2], strict=True)
    )


_VALUES: Final[Mapping[str, Callable[[Any], bool]]] = {
    "exists": lambda value: isinstance(value, bool),
    "prefix": _is_affix,
    "suffix": _is_affix,
    "equals-ignore-case": _is_text,
    "anything-but": _is_excluded,
    "numeric": _is_comparison,
}


def _matches(pattern: Mapping[str, Any], event: Any) -> bool:
    fields: Mapping[str, Any] = cast("Mapping[str, Any]", event) if isinstance(event, Mapping) else {}
    for key, wanted in pattern.items():
        if key == "$or":
            if not any(_matches(each, event) for each in wanted):
                return False
            continue
        values = list(_each(fields.get(key, _ABSENT)))
        if isinstance(wanted, dict):
            if not any(_matches(cast("dict[str, Any]", wanted), value) for value in values or [_ABSENT]):
                return False
        else:
            # Only leaves are looked at: an object is none, and an empty array has none.
            leaves = [value for value in values if value is not _ABSENT and not isinstance(value, Mapping)]
            if not any(_meets(leaf, condition) for leaf in leaves or [_ABSENT] for condition in wanted):
                return False
    return True


def _each(value: Any) -> Iterator[Any]:
    """An array matches if one of its values does."""
    if isinstance(value, list):
        for each in cast("list[Any]", value):
            yield from _each(each)
    else:
        yield value


def _meets(leaf: Any, condition: Any) -> bool:
    if not isinstance(condition, dict):
        return leaf is not _ABSENT and _equal(leaf, condition)
    ((name, value),) = cast("dict[str, Any]", condition).items()
    return (name == "exists" or leaf is not _ABSENT) and _OPERATORS[name](leaf, value)


def _equal(one: Any, other: Any) -> bool:
    """1 is not true."""
    return isinstance(one, bool) is isinstance(other, bool) and one == other


def _prefix(leaf: Any, value: Any) -> bool:
    if not isinstance(leaf, str):
        return False
    if isinstance(value, dict):
        return leaf.lower().startswith(cast("dict[str, str]", value)["equals-ignore-case"].lower())
    return leaf.startswith(value)


def _suffix(leaf: Any, value: Any) -> bool:
    if not isinstance(leaf, str):
        return False
    if isinstance(value, dict):
        return leaf.lower().endswith(cast("dict[str, str]", value)["equals-ignore-case"].lower())
    return leaf.endswith(value)


def _equals_ignore_case(leaf: Any, value: str) -> bool:
    return isinstance(leaf, str) and leaf.lower() == value.lower()


def _anything_but(leaf: Any, value: Any) -> bool:
    if isinstance(value, dict):
        ((name, inner),) = cast("dict[str, Any]", value).items()
        texts = cast("list[str]", inner) if isinstance(inner, list) else [inner]
        return not any(_OPERATORS[name](leaf, text) for text in texts)
    values = cast("list[Any]", value) if isinstance(value, list) else [value]
    return not any(_equal(leaf, each) for each in values)


def _numeric(leaf: Any, value: list[Any]) -> bool:
    pairs = zip(value[::2], value[1::2], strict=True)
    return _is_number(leaf) and all(_COMPARISONS[name](leaf, number) for name, number in pairs)


_OPERATORS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "exists": lambda leaf, value: (leaf is not _ABSENT) is value,
    "prefix": _prefix,
    "suffix": _suffix,
    "equals-ignore-case": _equals_ignore_case,
    "anything-but": _anything_but,
    "numeric": _numeric,
}
