"""The rules of a Choice state.

https://states-language.net/spec.html#choice-state
"""

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from operator import eq, ge, gt, le, lt
from typing import Any, Final, cast

from pulumi_llm_local.services.step_functions import paths
from pulumi_llm_local.services.step_functions.errors import DefinitionError

_ORDERS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "Equals": eq,
    "LessThan": lt,
    "LessThanEquals": le,
    "GreaterThan": gt,
    "GreaterThanEquals": ge,
}
_IS: Final = ("IsNull", "IsPresent", "IsString", "IsNumeric", "IsBoolean", "IsTimestamp")
_COMPARISON: Final = re.compile(r"(String|Numeric|Timestamp|Boolean)(\w*?(?:Equals|Than))(Path)?")
_TIMESTAMP: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")


def check_rule(rule: Any, *, inner: bool = False) -> None:
    """Raises `DefinitionError` for a rule that is none, or is not played. Only a whole rule has a Next."""
    if not isinstance(rule, Mapping):
        raise DefinitionError(f"a choice rule is an object, not {rule!r}")
    given = cast("Mapping[str, Any]", rule)
    names = set(given) - {"Next", "Comment"}
    if inner == ("Next" in given):
        raise DefinitionError("a choice rule names the Next state, and one within it does not")
    if len(names) == 1 and (name := names.pop()) in ("And", "Or", "Not"):
        for each in [given[name]] if name == "Not" else given[name]:
            check_rule(each, inner=True)
        return
    operators = names - {"Variable"}
    if "Variable" not in given or len(operators) != 1:
        raise DefinitionError("a choice rule has a Variable and one comparison")
    paths.check_path(given["Variable"])
    operator = operators.pop()
    match = _COMPARISON.fullmatch(operator)
    if operator in _IS or operator == "StringMatches":
        return
    if match is None or match[2] not in _ORDERS or (match[1] == "Boolean" and match[2] != "Equals"):
        raise DefinitionError(f"the comparison {operator} is unknown")
    if match[3]:
        paths.check_path(given[operator])


def is_met(rule: Mapping[str, Any], data: Any, context: Mapping[str, Any]) -> bool:
    """Tell whether the data meets a rule. Raises `StateError` where there is no value that the rule is about."""
    if "And" in rule:
        return all(is_met(each, data, context) for each in rule["And"])
    if "Or" in rule:
        return any(is_met(each, data, context) for each in rule["Or"])
    if "Not" in rule:
        return not is_met(rule["Not"], data, context)
    operator = next(name for name in rule if name not in ("Variable", "Next", "Comment"))
    wanted = rule[operator]
    if operator == "IsPresent":
        return paths.has(rule["Variable"], data, context) is wanted
    value = paths.value_at(rule["Variable"], data, context)
    if operator in _IS:
        return (value is None if operator == "IsNull" else _is(operator.removeprefix("Is"), value)) is wanted
    if operator == "StringMatches":
        parts = re.split(r"(?<!\\)(\*)", wanted)
        pattern = "".join(".*" if part == "*" else re.escape(part.replace("\\", "")) for part in parts)
        return isinstance(value, str) and re.fullmatch(pattern, value, re.DOTALL) is not None
    match = _COMPARISON.fullmatch(operator)
    assert match is not None
    if match[3]:
        wanted = paths.value_at(wanted, data, context)
    if not _is(match[1], value) or not _is(match[1], wanted):
        return False
    if match[1] == "Timestamp":
        value, wanted = datetime.fromisoformat(value), datetime.fromisoformat(wanted)
    return _ORDERS[match[2]](value, wanted)


def _is(kind: str, value: Any) -> bool:
    if kind == "Numeric":
        return isinstance(value, int | float) and not isinstance(value, bool)
    if kind == "Boolean":
        return isinstance(value, bool)
    return isinstance(value, str) and (kind == "String" or _TIMESTAMP.fullmatch(value) is not None)
