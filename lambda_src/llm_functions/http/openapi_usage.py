"""The schemas of what a caller has used, and of what is left of its limits. docs/limits.md and docs/usage.md have
their texts."""

from typing import Any

from llm_functions.http.schemas import COUNT, TEXT, obj, ref
from llm_gateway.limits import WINDOWS
from llm_gateway.usage_history import DIMENSIONS, MOST_DAYS, SCOPES

_AMOUNT = {"type": "number", "minimum": 0}


def schemas() -> dict[str, Any]:
    """Return the schemas of the answer and its parts."""
    limits = {"type": "array", "items": ref("LimitUsage")}
    caller = {
        "name": _text("The API key's name, the token's subject, or the ARN of the AWS identity, without a role's session"),
        "tenant": _text("Its tenant"),
        "day": _part("WindowUsage", "Today; missing where the caller has no limits of its own, for then nothing is counted"),
        "month": _part("WindowUsage", "In this month, with the same fields; missing likewise"),
        "minute": _part("WindowUsage", "In the running minute; only where a limit of the caller is a minute's"),
        "calls_in_flight": _part("CallsInFlight", "Its calls that run now; missing likewise"),
        "limits": {**limits, "description": "Its limits; none where only its tenant has some"},
    }
    tenant = {
        "name": _text("Its name"),
        "calls_in_flight": _part("CallsInFlight", "Calls of all its callers; only where their number is limited"),
        "limits": {**limits, "description": "Its limits, and what all its callers together have used of them"},
    }
    report = {
        "at": _time("When this was read, in UTC, as all times here"),
        "caller": {**obj(caller, ("name", "tenant", "limits")), "description": "Who asks"},
        "tenant": {**obj(tenant, ("name", "limits")), "description": "Its tenant; missing where that has no limits"},
    }
    window = {
        "since": _time("When it began"),
        "resets_at": _time("When it ends, and all is counted from zero"),
        "requests": _count("Requests that were not refused, those that run among them"),
        "tokens": _count("Tokens of requests and answers. A call that runs has those that it may use at most"),
        "usd": _amount("US dollars, by the models' prices, in millionths. A call that runs has the most that it may cost. "
                       "Missing where no limit at this API is in dollars"),
    }  # fmt: skip
    limit = {
        "measure": {"enum": ["requests", "tokens", "usd"], "description": "What is limited; the unit of the three numbers"},
        "window": {"enum": list(WINDOWS), "description": "The calendar's, in UTC"},
        "model": _text("The alias that alone is limited; missing where it is all of them"),
        "limit": _amount("The most that may be used in the window"),
        "used": _amount("What has been used, with what calls that run may use. Tokens may be some more than the limit"),
        "remaining": _amount("What a call may use at most, now; 0 or more"),
        "resets_at": _time("When the window ends, and all of the limit is there again"),
    }
    in_flight = {
        "used": _count("How many run. One whose function died counts until a minute after its function must have ended"),
        "limit": _count("How many may run at once; missing where that is not limited"),
        "remaining": _count("How many more may begin now; missing likewise"),
    }
    return {
        "UsageReport": obj(report, ("at", "caller")),
        "WindowUsage": obj(window, ("since", "resets_at", "requests", "tokens")),
        "LimitUsage": obj(limit, tuple(name for name in limit if name != "model")),
        "CallsInFlight": obj(in_flight, ("used",)),
    }


def history_schemas() -> dict[str, Any]:
    """Return the schemas of what was used on past days."""
    numbers = {
        "requests": _count("Requests for which a target was asked, or the cache"),
        "errors": _count("Those of them that ended with an error, or whose caller left"),
        "cache_hits": _count("Those of them that the cache answered"),
        "input_tokens": _count("Tokens of requests, those of targets that failed among them"),
        "output_tokens": _count("Tokens of answers, likewise"),
        "cached_tokens": _count("Those of the input tokens that a provider read from its prompt cache"),
        "usd": _amount("US dollars, by the models' prices"),
        "unpriced_requests": _count("Requests whose tokens have no price here, so that they are not in usd"),
    }
    names = {
        "day": {**TEXT, "format": "date", "description": "The calendar's, in UTC, in which the request ended"},
        "alias": _text("The alias"),
        "target": _text("The target that answered, or was asked last"),
    }
    history = {
        "at": _time("When this was read"),
        "as_of": _time("When the newest part of it was counted; missing where there is nothing"),
        "tenant": _text("Whose this is"),
        "caller": _text("Which of the tenant's callers; missing with scope=tenant"),
        "from": {**TEXT, "format": "date", "description": "The first day, in UTC"},
        "to": {**TEXT, "format": "date", "description": "The last day"},
        "by": {"type": "array", "items": {"enum": list(DIMENSIONS)}, "description": "By what the rows are divided"},
        "total": {**ref("UsageCounts"), "description": "All of it"},
        "rows": {
            "type": "array",
            "items": {"allOf": [obj(names), ref("UsageCounts")]},
            "description": "A row for each day, alias and target, as asked, that has requests, in their order",
        },
    }
    required = tuple(name for name in history if name not in ("as_of", "caller"))
    return {"UsageHistory": obj(history, required), "UsageCounts": obj(numbers, tuple(numbers))}


def add_history(described: dict[str, Any], *, limits: bool) -> None:
    """Add what an operation says of past days to what it says of limits, if there are any."""
    day = {**TEXT, "format": "date"}
    by = f"By what the rows are divided, with commas: {', '.join(DIMENSIONS)}"
    asked = {
        "by": ({**TEXT, "default": "day"}, by),
        "from": (day, f"The first day, in UTC, at most {MOST_DAYS - 1} days before to. Default: the first of the month of to"),
        "to": (day, "The last day. Default: today"),
        "scope": ({"enum": list(SCOPES), "default": "caller"}, "Whose: the caller's own, or all of its tenant's"),
    }
    described["parameters"] = [
        {"name": name, "in": "query", "description": text, "schema": schema} for name, (schema, text) in asked.items()
    ]
    content = described["responses"]["200"]["content"]["application/json"]
    content["schema"] = {"anyOf": [content["schema"], ref("UsageHistory")]} if limits else ref("UsageHistory")


def _text(description: str) -> dict[str, Any]:
    return {**TEXT, "description": description}


def _time(description: str) -> dict[str, Any]:
    return {**TEXT, "format": "date-time", "description": description}


def _count(description: str) -> dict[str, Any]:
    return {**COUNT, "description": description}


def _amount(description: str) -> dict[str, Any]:
    return {**_AMOUNT, "description": description}


def _part(name: str, description: str) -> dict[str, Any]:
    return {**ref(name), "description": description}
