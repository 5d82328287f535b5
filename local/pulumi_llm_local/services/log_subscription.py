"""The program's subscription filters: CloudWatch Logs hands the lines of a function's log to another function.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/SubscriptionFilters.html

The log of a function is a file here. Lines that fit the filter's pattern are handed over soon after they come, compressed and
in base64, in asynchronous invocations. Of patterns, comparisons of fields with texts are played, with || between them. Not
played: other destinations, and log groups of which no function of the program has its log.
"""

import asyncio
import base64
import gzip
import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from pulumi_llm_local.aws_types.lambda_ import FUNCTION
from pulumi_llm_local.program.graph import Graph, Resource
from pulumi_llm_local.services.event_invocation import EventInvocations
from pulumi_llm_local.services.lambda_function import Function
from pulumi_llm_local.services.local_run import LocalError, LocalRun
from pulumi_llm_local.services.resource_policies import function_allows

FILTER = "aws:cloudwatch/logSubscriptionFilter:LogSubscriptionFilter"
PLAYED = frozenset({FILTER})
IMPLIED = frozenset[str]()
# AWS: "usually less than three minutes".
_POLL_SECONDS = 0.25
# https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/cloudwatch_limits_cwl.html
_MOST_FILTERS = 2
# Lines of one invocation, which stays far below the size that one may have.
_MOST_LINES = 500
_KEYS = frozenset({"destinationArn", "distribution", "filterPattern", "logGroup", "name", "region"})
_TERM = re.compile(r'\(?\s*\$\.([A-Za-z0-9_.-]+)\s*=\s*"([^"*]*)"\s*\)?')


async def start(run: LocalRun) -> None:
    """Hand over what comes to the logs from now on. Raises `LocalError` for what is not played, or what AWS refuses."""
    filters = list(run.graph.of_type(FILTER))
    if not filters:
        return
    invocations = EventInvocations(run.graph, run.functions)
    run.stop.push_async_callback(invocations.stop)
    for resource in filters:
        group = resource.state["logGroup"]
        if sum(each.state["logGroup"] == group for each in filters) > _MOST_FILTERS:
            raise LocalError(
                f"LimitExceededException: the log group {group} has more than {_MOST_FILTERS} subscription filters"
            )
        subscription = LogSubscription(resource, run.graph, run.functions, run.logs, invocations.accept)
        task = asyncio.ensure_future(subscription.run())
        run.stop.push_async_callback(_cancel, task)


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


class LogSubscription:
    """One filter. `accept` invokes a function asynchronously. Raises `LocalError`."""

    def __init__(
        self,
        resource: Resource,
        graph: Graph,
        functions: Mapping[str, Function],
        logs: Path,
        accept: Callable[[Function, str | None, Any], None],
    ) -> None:
        self._name = resource.name
        state = resource.state
        if unplayed := sorted(key for key, value in resource.inputs.items() if value is not None and key not in _KEYS):
            raise self._error(f"{', '.join(unplayed)} is not played")
        self._group, self._accept = str(state["logGroup"]), accept
        self._matches = read_pattern(str(state["filterPattern"]))
        if self._matches is None:
            raise self._error(f"the pattern {state['filterPattern']} is not played")
        writers = [each for each in graph.of_type(FUNCTION) if _log_group(each.state) == self._group]
        if not writers:
            raise self._error(f"the log group {self._group} is not played: no function has its log there")
        self._files = [_LogFile(logs / f"{each.name}.log") for each in writers]
        arn = str(state["destinationArn"])
        named = re.fullmatch(r"(arn:[^:]+):lambda:([^:]+:(\d+)):function:([^:]+)(?::([^:]+))?", arn)
        if named is None or named[4] not in functions:
            raise self._error(f"{arn} is not played: only a function of the program's own is")
        self._account, self._function, self._qualifier = named[3], functions[named[4]], named[5]
        source = f"{named[1]}:logs:{named[2]}:log-group:{self._group}:*"
        if not function_allows(graph, named[4], self._qualifier, source, principal="logs.amazonaws.com"):
            raise self._error(
                "InvalidParameterException: Could not execute the lambda function. Make sure you have given CloudWatch Logs "
                "permission to execute your function."
            )

    async def run(self) -> None:
        """Hand lines over until nobody wants them any more."""
        while True:
            await asyncio.sleep(_POLL_SECONDS)
            for file in self._files:
                lines = [(at, line) for at, line in file.lines() if self._matches is not None and self._matches(line)]
                for first in range(0, len(lines), _MOST_LINES):
                    self._accept(self._function, self._qualifier, self._event(file, lines[first : first + _MOST_LINES]))

    def _event(self, file: "_LogFile", lines: Sequence[tuple[str, str]]) -> Mapping[str, Any]:
        now = int(time.time() * 1000)
        batch = {
            "messageType": "DATA_MESSAGE",
            "owner": self._account,
            "logGroup": self._group,
            "logStream": file.path.stem,
            "subscriptionFilters": [self._name],
            "logEvents": [{"id": id, "timestamp": now, "message": line} for id, line in lines],
        }
        return {"awslogs": {"data": base64.b64encode(gzip.compress(json.dumps(batch).encode())).decode()}}

    def _error(self, text: str) -> LocalError:
        return LocalError(f"the subscription filter {self._name}: {text}")


class _LogFile:
    """The lines that come to a file. Each has an id of its own, as a log event has."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._began = time.time_ns()
        self._at = path.stat().st_size if path.exists() else 0

    def lines(self) -> list[tuple[str, str]]:
        """Return the ids and texts of the whole lines that have come since the last call."""
        if not self.path.exists():
            return []
        with self.path.open("rb") as file:
            file.seek(self._at)
            whole, newline, _ = file.read().rpartition(b"\n")
        found: list[tuple[str, str]] = []
        for line in whole.split(b"\n") if newline else []:
            found.append((f"{self._began}{self._at:036}", line.decode(errors="replace")))
            self._at += len(line) + 1
        return found


def read_pattern(pattern: str) -> Callable[[str], bool] | None:
    """Read a filter pattern; None for what is not played.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntax.html
    """
    if pattern.strip() == "":
        return lambda line: True
    inner = re.fullmatch(r"\s*\{(.*)\}\s*", pattern, re.DOTALL)
    terms = [_TERM.fullmatch(part.strip()) for part in inner[1].split("||")] if inner else [None]
    wanted = [(term[1], term[2]) for term in terms if term is not None]
    if len(wanted) < len(terms):
        return None

    def matches(line: str) -> bool:
        try:
            document: Any = json.loads(line)
        except ValueError:
            return False
        fields = cast("dict[str, Any]", document) if isinstance(document, dict) else {}
        return any(fields.get(name) == text for name, text in wanted)

    return matches


def _log_group(function: Mapping[str, Any]) -> Any:
    logging: Mapping[str, Any] = function.get("loggingConfig") or {}
    return logging.get("logGroup")
