"""Budgets and cost anomaly subscriptions: whether one counts the money that is spent, and tells someone in time."""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from llm_policies.rule import Resource, Setting, Settings
from llm_policies.values import State, Value, some

BUDGET: Final = "aws:budgets/budget:Budget"
ANOMALIES: Final = "aws:costexplorer/anomalySubscription:AnomalySubscription"

LIMITS: Final[Mapping[str, Setting]] = {
    "usd_per_month": Setting(
        100_000,
        {"type": "number", "minimum": 0},
        "The largest budget of a month, and the largest sum of an alarm, that still tell someone in time, in US dollars.",
    ),
    "services": Setting(
        ["bedrock", "sagemaker", "elastic compute cloud", "ec2", "claude", "marketplace"],
        {"type": "array", "items": {"type": "string"}},
        "Parts of the names (lower case) of services that models and accelerators are billed by: a budget that is "
        "filtered by service counts one of them.",
    ),
}

_MONTHS: Final[Mapping[str, float]] = {"DAILY": 1 / 30, "MONTHLY": 1, "QUARTERLY": 3, "ANNUALLY": 12, "CUSTOM": 1}


def tells(resource: Resource, settings: Settings) -> bool:
    """Whether a budget or subscription tells someone of money that models and accelerators cost."""
    if resource.type == ANOMALIES:
        return bool(resource["subscribers"].items()) and _is_reached(resource["thresholdExpression"], settings)
    return _counts_money(resource, settings) and some(resource["notifications"].items(), _is_heard)


def _counts_money(budget: Resource, settings: Settings) -> bool:
    # The others count hours and gigabytes, or how far what was paid ahead is used.
    if not budget["budgetType"].equals("COST", None) or not budget["limitUnit"].equals("USD", None):
        return False
    most = settings["usd_per_month"] * _MONTHS.get(budget["timeUnit"].text("MONTHLY"), 1)
    amount = budget["limitAmount"]
    if not amount.missing and not 0 < _number(amount) <= most:
        return False
    if _is_over(budget["timePeriodEnd"].text()):
        return False
    if any(not 0 < _number(planned["amount"]) <= most for planned in budget["plannedLimits"].items()):
        return False
    dimension = budget.at("filterExpression.dimensions")
    filters = [(one["name"], one) for one in budget["costFilters"].items()] + [(dimension["key"], dimension)]
    return all(_is_of_service(filtered, settings) for name, filtered in filters if name.equals("Service", "SERVICE"))


def _is_over(end: str) -> bool:
    """Whether a time such as `2026-12-31_00:00` is past: the budget counts nothing any more."""
    return bool(re.match(r"\d{4}-\d{2}-\d{2}", end)) and end[:10] < datetime.now(UTC).date().isoformat()


def _is_of_service(filtered: Value, settings: Settings) -> bool:
    names = [value.text().lower() for value in filtered["values"].items()]
    return any(part in name for part in settings["services"] for name in names)


def _is_heard(notification: Value) -> bool:
    told = notification["subscriberEmailAddresses"].data or notification["subscriberSnsTopicArns"].data
    if not told or notification["comparisonOperator"].equals("LESS_THAN", "EQUAL_TO"):
        return False
    # 80 of ABSOLUTE_VALUE is a sum, which the budget's own limit does not bound.
    percent = not notification["thresholdType"].equals("ABSOLUTE_VALUE")
    return not percent or notification["threshold"].number(100) <= _MOST_PERCENT


# Told at twice the budget, somebody is told late; at ten times, never.
_MOST_PERCENT: Final = 200


def _is_reached(expression: Value, settings: Settings) -> bool:
    """Whether an anomaly of a size that matters meets the threshold: one of the sums in it is not too large."""
    sums = [_number(value) for value in _sums(expression)]
    return not sums or min(sums) <= settings["usd_per_month"]


def _sums(expression: Value) -> Iterator[Value]:
    dimension = expression["dimension"]
    if dimension["key"].equals("ANOMALY_TOTAL_IMPACT_ABSOLUTE"):
        yield from dimension["values"].items()
    for name in ("ands", "ors"):
        for part in expression[name].items():
            yield from _sums(part)


def _number(value: Value) -> float:
    if value.state is State.MISSING:
        return 0
    plain: Any = value.plain
    text = str(plain)
    return float(text) if re.fullmatch(r"\d+(\.\d+)?", text) else 0
