"""Regular expressions of a user's own: whether a text can make them slow.

Python's `re` tries the ways in which repetitions can share a text, one after another. A caller who knows the expression can
write a text for which there are too many of them, so their number is bounded here, for each place where a match may begin.
"""

import re
from re import _constants as codes  # pyright: ignore[reportAttributeAccessIssue, reportUnknownVariableType]
from re import _parser as parser  # pyright: ignore[reportAttributeAccessIssue, reportUnknownVariableType]
from typing import Any

# The most ways for one place: a prompt of 100,000 characters is searched in about a second at worst.
MOST_WAYS = 1_000
# Where counting ends.
_TOO_MANY = 10**9


def pattern_problem(pattern: str) -> str | None:
    """Return what is wrong with an expression, None if nothing is."""
    try:
        re.compile(pattern)
    except (re.error, RecursionError) as error:
        return f"is no regular expression: {error}"
    try:
        ways = _ways(parser.parse(pattern))  # pyright: ignore[reportUnknownMemberType]
    except _Unbounded as error:
        return str(error)
    if ways > MOST_WAYS:
        return (
            f"can match in {ways:,} ways at one place, by which a text could make it slow; at most {MOST_WAYS:,} are "
            "allowed: the product of its repetitions. Give smaller or fewer ones"
        )
    if re.compile(pattern).match(""):
        return "matches an empty text, and so every prompt"
    return None


class _Unbounded(Exception):
    """A part that nobody can bound."""


def _ways(parts: Any) -> int:
    total = 1
    for code, value in parts:
        total *= _ways_of(code, value)
    return total


def _ways_of(code: Any, value: Any) -> int:
    match str(code):
        case "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT":
            least, most, inner = value
            if most == codes.MAXREPEAT:  # pyright: ignore[reportUnknownMemberType]
                raise _Unbounded("has a repetition without a bound, such as '*' or '+'; give one, such as {0,20} or {1,20}")
            each = _ways(inner)
            if each == 1:  # they differ in their number only
                return most - least + 1
            ways = 0
            for count in range(least, most + 1):
                ways += each ** min(count, 20)
                if ways > _TOO_MANY:
                    return _TOO_MANY
            return ways
        case "SUBPATTERN":
            return _ways(value[-1])
        case "BRANCH":
            return sum(map(_ways, value[1]))
        case "ASSERT" | "ASSERT_NOT":
            return _ways(value[1])
        case "ATOMIC_GROUP":
            return _ways(value)
        case "GROUPREF" | "GROUPREF_EXISTS" | "GROUPREF_IGNORE":
            raise _Unbounded("refers back to a group, which a text could make slow; leave that out")
        case _:
            return 1
