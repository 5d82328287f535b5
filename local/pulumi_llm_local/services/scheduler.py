"""EventBridge Scheduler, for the schedules that start ingestion jobs of the local Bedrock.

The clock is looked at once a minute, which is AWS's precision. A schedule by a rate begins at once, as in AWS without a
StartDate. A call is made at the beginning of its flexible window, and is not repeated where it fails.
https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html
"""

import asyncio
import contextlib
import json
import logging
import re
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

from pulumi_llm_local.program.graph import Graph, Resource
from pulumi_llm_local.services.knowledge_base import AGENT
from pulumi_llm_local.services.local_run import LocalRun
from pulumi_llm_local.services.signature import Credentials

_log = logging.getLogger(__name__)

SCHEDULE = "aws:scheduler/schedule:Schedule"
PLAYED = frozenset({SCHEDULE})
IMPLIED = frozenset[str]()
_START_JOB = re.compile(r"arn:[^:]+:scheduler:::aws-sdk:bedrockagent:startIngestionJob")

# Makes the call of a target with these parameters.
Call = Callable[[Mapping[str, Any]], Awaitable[None]]


async def start(run: LocalRun) -> None:
    """Play the schedules of the program while the run lasts, where the local Bedrock has what they start."""
    schedules = [schedule for each in run.graph.of_type(SCHEDULE) if (schedule := _schedule(each)) is not None]
    url = run.bedrock.get(AGENT)
    if not schedules or url is None:
        return
    scheduler = Scheduler(schedules, _started(url, run.graph.region, run.key), _minute())
    await scheduler.tick(scheduler.began)
    ticking = asyncio.create_task(scheduler.run())
    run.stop.push_async_callback(_cancelled, ticking)


def not_played(graph: Graph) -> set[str]:
    """The schedules of other targets, and by expressions that are not read here."""
    enabled = (each for each in graph.of_type(SCHEDULE) if each.state["state"] == "ENABLED")
    missing = [each for each in enabled if _schedule(each) is None]
    return {f"{SCHEDULE} ({each.state['scheduleExpression']} of {each.state['target']['arn']})" for each in missing}


@dataclass(frozen=True)
class Schedule:
    """When a job is started, and the parameters of the call."""

    is_due: "IsDue"
    parameters: Mapping[str, Any]


class Scheduler:
    """Calls the targets of schedules that are due. `began` is a minute since the epoch, as every minute here."""

    def __init__(self, schedules: Sequence[Schedule], call: Call, began: int) -> None:
        self.began = began
        self._schedules = schedules
        self._call = call

    async def run(self) -> None:
        minute = self.began
        while True:
            minute = max(minute, _minute()) + 1  # those in which this machine slept are passed over
            await asyncio.sleep(max(0.0, minute * 60 - time.time()))
            await self.tick(minute)

    async def tick(self, minute: int) -> None:
        for schedule in self._schedules:
            if schedule.is_due(self.began, minute):
                try:
                    await self._call(schedule.parameters)
                except Exception:
                    _log.exception("a schedule could not call its target with %s", schedule.parameters)


# Whether a schedule that began in one minute is due in another one.
IsDue = Callable[[int, int], bool]


def read_expression(expression: str) -> IsDue | None:
    """Read a rate or a cron expression; None for what is not read here: one-time schedules, and L, W and # in cron's fields."""
    if rate := re.fullmatch(r"rate\((\d+) (minute|hour|day)s?\)", expression):
        every = int(rate[1]) * {"minute": 1, "hour": 60, "day": 1_440}[rate[2]]
        return lambda began, minute: (minute - began) % every == 0
    fields = expression.removeprefix("cron(").removesuffix(")").split()
    if not expression.startswith("cron(") or len(fields) != len(_FIELDS):
        return None
    try:
        sets = [_values(text, *bounds) for text, bounds in zip(fields, _FIELDS, strict=True)]
    except ValueError:
        return None

    def is_due(began: int, minute: int) -> bool:
        at = datetime.fromtimestamp(minute * 60, UTC)
        now = (at.minute, at.hour, at.day, at.month, at.isoweekday() % 7 + 1, at.year)
        return all(value in wanted for value, wanted in zip(now, sets, strict=True))

    return is_due


_MONTHS = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"]
_DAYS = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"]
# Minutes, hours, day of the month, month, day of the week, year: the least, the most, and the names of the values.
_FIELDS: Sequence[tuple[int, int, Sequence[str]]] = (
    (0, 59, ()),
    (0, 23, ()),
    (1, 31, ()),
    (1, 12, _MONTHS),
    (1, 7, _DAYS),
    (1970, 2199, ()),
)


def _values(field: str, least: int, most: int, names: Sequence[str]) -> frozenset[int]:
    """Return the values of a field. Raises `ValueError`."""

    def number(text: str) -> int:
        found = names.index(text.upper()) + least if text.upper() in names else int(text)
        if not least <= found <= most:
            raise ValueError(text)
        return found

    found: set[int] = set()
    for part in field.split(","):
        values, _, step = part.partition("/")
        first, _, last = values.partition("-")
        if values in ("*", "?"):
            begin, end = least, most
        else:
            begin = number(first)
            end = number(last) if last else most if step else begin
        found.update(range(begin, end + 1, int(step or 1)))
    return frozenset(found)


def _schedule(resource: Resource) -> Schedule | None:
    """Return a schedule that can be played, None for any other one."""
    target: Mapping[str, Any] = resource.state["target"]
    if resource.state["state"] != "ENABLED" or _START_JOB.fullmatch(str(target["arn"])) is None:
        return None
    is_due = read_expression(str(resource.state["scheduleExpression"]))
    return None if is_due is None else Schedule(is_due, json.loads(target["input"]))


def _started(url: str, region: str, key: Credentials) -> Call:
    import botocore.session
    from botocore.config import Config  # pyright: ignore[reportMissingTypeStubs]

    session: Any = botocore.session.Session()
    client: Any = session.create_client(
        "bedrock-agent",
        endpoint_url=url,
        region_name=region,
        aws_access_key_id=key.access_key,
        aws_secret_access_key=key.secret_key,
        config=cast(Any, Config)(proxies={}),
    )

    async def call(parameters: Mapping[str, Any]) -> None:
        # Scheduler writes the names of all parameters with a capital letter first.
        named = {name[:1].lower() + name[1:]: value for name, value in parameters.items()}
        await asyncio.to_thread(client.start_ingestion_job, **named)

    return call


def _minute() -> int:
    return int(time.time() // 60)


async def _cancelled(task: "asyncio.Task[None]") -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
