"""What a caller or its tenant has used on past days, by alias and target: an answer of GET /usage.

Only that operation loads this module.
"""

import contextlib
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any, Literal, get_args

from llm_gateway import errors
from llm_gateway.accounts import caller_holder, tenant_holder
from llm_gateway.aws.dynamodb import DynamoDB, DynamoDBError, Item
from llm_gateway.errors import Problem, clipped
from llm_gateway.http.errors import HttpError
from llm_gateway.identity.caller import Caller
from llm_gateway.tables import USAGE
from llm_gateway.usage_counts import ALIAS, AS_OF, MEASURES, TARGET, range_of

Dimension = Literal["day", "alias", "target"]
Scope = Literal["caller", "tenant"]
DIMENSIONS: tuple[Dimension, ...] = get_args(Dimension)
SCOPES: tuple[Scope, ...] = get_args(Scope)
# The parameters of a question. With one of them it is about past days, without any about limits, where there are some.
PARAMETERS = ("by", "from", "scope", "to")
# The most days of one question: a quarter of a year.
MOST_DAYS = 92


class UsageHistory:
    """The table. `tenant_readers` are the callers that may read all that their tenants have used. `clock` gives seconds since
    the epoch."""

    def __init__(
        self,
        dynamodb: DynamoDB,
        table: str,
        tenant_readers: Collection[str] = (),
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._dynamodb = dynamodb
        self._table = table
        self._tenant_readers = frozenset(tenant_readers)
        self._clock = clock

    async def answer(self, caller: Caller, asked: Mapping[str, str]) -> dict[str, Any]:
        """Return what was used, as the parameters of a question ask. Raises the errors 400, 403 and 503."""
        today = datetime.fromtimestamp(self._clock(), UTC).date()
        by, first, last, scope = _parsed(asked, today, caller)
        if scope == "tenant" and caller.principal not in self._tenant_readers:
            raise errors.access_denied()
        holder = tenant_holder(caller) if scope == "tenant" else caller_holder(caller)
        try:
            items = await self._dynamodb.query(
                self._table,
                f"{USAGE.hash_key} = :holder AND {USAGE.sort_key} BETWEEN :first AND :last",
                {":holder": {"S": holder}, **range_of(first.isoformat(), last.isoformat())},
            )
        except (DynamoDBError, HttpError) as error:
            raise errors.usage_unavailable(detail=f"{type(error).__name__}: {error}") from error
        whose = {"tenant": caller.tenant, **({"caller": caller.principal} if scope == "caller" else {})}
        read = {"at": _time(self._clock()), **({"as_of": _as_of(items)} if items else {})}
        days = {"from": first.isoformat(), "to": last.isoformat()}
        return {**read, **whose, **days, "by": by, "total": _numbers(_sum(items)), "rows": _rows(items, by)}


def _parsed(asked: Mapping[str, str], today: date, caller: Caller) -> tuple[Sequence[Dimension], date, date, Scope]:
    """Return by what is divided, the first and the last day, and whose it is. Raises the error 400."""
    problems = [
        Problem(clipped(name), f"is not known; there are {', '.join(PARAMETERS)}") for name in asked if name not in PARAMETERS
    ]
    by = set(asked.get("by", "day").split(",")) - {""}
    if unknown := sorted(by.difference(DIMENSIONS)):
        problems.append(Problem("by", f"must name {', '.join(DIMENSIONS)}, with commas, not {clipped(unknown[0])!r}"))
    scope: Scope | None = next((each for each in SCOPES if each == asked.get("scope", "caller")), None)
    if scope is None:
        problems.append(Problem("scope", f"must be one of {', '.join(SCOPES)}, not {clipped(asked['scope'])!r}"))
    elif scope == "tenant" and caller.anonymous:
        problems.append(Problem("scope", "is not for an API that does not know its callers"))
    last = _day(asked, "to", today, problems)
    first = _day(asked, "from", last.replace(day=1), problems)
    if not problems and first > last:
        problems.append(Problem("from", f"must not be after to, which is {last.isoformat()}"))
    elif not problems and (last - first).days >= MOST_DAYS:
        problems.append(Problem("from", f"must be at most {MOST_DAYS} days before the end of to, which is {last.isoformat()}"))
    if problems or scope is None:
        raise errors.invalid_request(problems)
    return [dimension for dimension in DIMENSIONS if dimension in by], first, last, scope


def _day(asked: Mapping[str, str], name: str, default: date, problems: list[Problem]) -> date:
    text = asked.get(name)
    if text is None:
        return default
    with contextlib.suppress(ValueError):
        if (day := date.fromisoformat(text)).isoformat() == text:  # Python reads other forms, too
            return day
    problems.append(Problem(name, f"must be a day, such as 2026-11-30, not {clipped(text)!r}"))
    return default


def _rows(items: Sequence[Item], by: Sequence[Dimension]) -> list[dict[str, Any]]:
    """Sum up what has the same names, in their order."""
    found: dict[tuple[str, ...], list[Item]] = {}
    for item in items:
        found.setdefault(tuple(_name(item, dimension) for dimension in by), []).append(item)
    if not by:
        return []
    return [{**dict(zip(by, names, strict=True)), **_numbers(_sum(found[names]))} for names in sorted(found)]


def _name(item: Item, dimension: Dimension) -> str:
    if dimension == "day":
        return item[USAGE.sort_key]["S"][: len("2026-11-30")]
    return item[ALIAS if dimension == "alias" else TARGET]["S"]


def _sum(items: Sequence[Item]) -> Counter[str]:
    summed: Counter[str] = Counter()
    for item in items:
        summed.update({measure: int(item[measure]["N"]) for measure in MEASURES if measure in item})
    return summed


def _numbers(summed: Counter[str]) -> dict[str, Any]:
    return {("usd" if name == "micro_usd" else name): _number(name, summed[name]) for name in MEASURES}


def _number(measure: str, count: int) -> float:
    return count / 1e6 if measure == "micro_usd" else count


def _as_of(items: Sequence[Item]) -> str:
    return _time(max(int(item[AS_OF]["N"]) for item in items))


def _time(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
