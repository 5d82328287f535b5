"""The program's own EventBridge buses, with their rules and targets.

https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-what-is.html

A target is a queue of the program's, which gets the event as its message's body, a function, which is invoked asynchronously,
or a state machine, of which an execution is started with the event. What cannot be delivered is tried again until the target's
retry policy gives up, and goes to its dead letter queue. EventBridge needs to be allowed to reach a target by the target's own
policy, or by the target's role; a run in which it is not would lose every event, and is refused. Not played: archives,
schedules, and what changes an event on its way (input, input path, input transformer). Nothing is put on the default bus here,
whose events are AWS's own.
"""

import asyncio
import json
import re
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, cast

import aiohttp

from pulumi_llm_local.program.graph import Graph, Resource
from pulumi_llm_local.services import moto
from pulumi_llm_local.services.event_invocation import EventInvocations
from pulumi_llm_local.services.event_log import EventLog
from pulumi_llm_local.services.event_pattern import EventPattern, EventPatternError
from pulumi_llm_local.services.lambda_function import Function, FunctionError
from pulumi_llm_local.services.local_run import LocalError, LocalRun
from pulumi_llm_local.services.queues import Queues
from pulumi_llm_local.services.resource_policies import EVENTS, QUEUE_POLICY, function_allows, queue_allows
from pulumi_llm_local.services.role_policies import role_allows, role_trusts
from pulumi_llm_local.services.step_functions.state_machine import ExecutionRefused, StateMachine

BUS = "aws:cloudwatch/eventBus:EventBus"
RULE = "aws:cloudwatch/eventRule:EventRule"
TARGET = "aws:cloudwatch/eventTarget:EventTarget"
PLAYED = frozenset({BUS, RULE, TARGET, QUEUE_POLICY})
# A registry tells what events look like, and does nothing.
IMPLIED = frozenset(
    {"aws:cloudwatch/eventBusPolicy:EventBusPolicy", "aws:schemas/registry:Registry", "aws:schemas/schema:Schema"}
)
# https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-putevents.html#eb-putevent-size
_MOST_BYTES = 256 * 1024
# https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rule-retry-policy.html
_MOST_RETRIES, _MOST_AGE_SECONDS = 185, 24 * 3600
# EventBridge retries "with exponential back off and jitter"; the seconds are this run's.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 60.0
# What may be given of a target besides its address.
_TARGET_KEYS = frozenset(
    {"arn", "rule", "eventBusName", "targetId", "roleArn", "retryPolicy", "deadLetterConfig", "region", "forceDestroy"}
)

Send = Callable[[str], Awaitable[None]]


class EventRefused(Exception):
    """PutEvents refuses an event: it fails whenever it is tried."""


async def start(run: LocalRun) -> None:
    """Play the program's buses. Raises `LocalError` for what is not played, or would not work on AWS."""
    if not any(True for _ in run.graph.of_type(BUS)):
        return
    queues = Queues(run.graph, run.variables[moto.SQS_ENDPOINT])
    run.stop.push_async_callback(queues.close)
    buses = EventBuses(run.graph, queues, run.functions, run.state_machines, EventLog(run.logs / "event-buses.log"))
    run.stop.push_async_callback(buses.stop)
    run.event_buses = buses


def not_played(graph: Graph) -> set[str]:
    """The rules whose events are AWS's own."""
    buses = {str(bus.state["name"]) for bus in graph.of_type(BUS)}
    foreign = [rule for rule in graph.of_type(RULE) if _bus_name(rule) not in buses]
    return {f"{RULE} (events of AWS's own)"} if foreign else set()


@dataclass(frozen=True)
class Target:
    """Where a rule sends its events, and for how long it tries."""

    arn: str
    rule_arn: str
    send: Send
    retries: int
    age_seconds: float
    dead_letter_url: str


@dataclass(frozen=True)
class Rule:
    pattern: EventPattern
    targets: Sequence[Target]


class EventBuses:
    """The buses of a program, by their ARNs. Raises `LocalError` for what is not played, or would not work on AWS."""

    def __init__(
        self,
        graph: Graph,
        queues: Queues,
        functions: Mapping[str, Function],
        machines: Mapping[str, StateMachine],
        log: EventLog,
    ) -> None:
        self._graph = graph
        self._log = log
        self._queues = queues
        self._functions = functions
        self._machines = machines
        self._tasks: set[asyncio.Task[None]] = set()
        self._invocations = EventInvocations(graph, functions) if _invokes(graph) else None
        arns = {str(bus.state["name"]): str(bus.state["arn"]) for bus in graph.of_type(BUS)}
        self._rules: dict[str, list[Rule]] = {arn: [] for arn in arns.values()}
        for rule in graph.of_type(RULE):
            if _bus_name(rule) in arns and _is_enabled(rule):
                targets = [self._target(each, rule) for each in graph.of_type(TARGET) if _is_target_of(each, rule)]
                self._rules[arns[_bus_name(rule)]].append(Rule(_pattern(rule), targets))

    def __contains__(self, arn: str) -> bool:
        return arn in self._rules

    def put(
        self, arn: str, *, source: str, detail_type: str, detail: Any, resources: Sequence[str] = (), time: str = ""
    ) -> None:
        """Put an event on a bus: every rule that matches sends it on. Raises `EventRefused`.

        https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEventsRequestEntry.html
        """
        if not source or source.startswith("aws."):
            raise EventRefused(f"NotAuthorizedForSourceException: an event's source is not {source!r}")
        if not 1 <= len(detail_type) <= 128:
            raise EventRefused(f"InvalidArgument: a detail type has 1 to 128 characters, not {len(detail_type)}")
        if not isinstance(detail, dict):
            raise EventRefused("MalformedDetail: Detail is malformed.")
        size = (14 if time else 0) + sum(len(text.encode()) for text in (source, detail_type, json.dumps(detail), *resources))
        if size > _MOST_BYTES:
            raise EventRefused(f"ValidationException: the entry is of {size:,} bytes, and the limit is {_MOST_BYTES:,}")
        event: dict[str, Any] = {
            "version": "0",
            "id": str(uuid.uuid4()),
            "detail-type": detail_type,
            "source": source,
            "account": arn.split(":")[4],
            "time": time or datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "region": self._graph.region,
            "resources": list(resources),
            "detail": cast("dict[str, Any]", detail),
        }
        for rule in self._rules[arn]:
            if rule.pattern.matches(event):
                for target in rule.targets:
                    task = asyncio.ensure_future(self._deliver(target, json.dumps(event)))
                    self._tasks.add(task)
                    task.add_done_callback(self._tasks.discard)

    async def stop(self) -> None:
        if self._invocations is not None:
            await self._invocations.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _deliver(self, target: Target, body: str) -> None:
        """Send an event to a target until it has it, or the retry policy gives up."""
        end = asyncio.get_running_loop().time() + target.age_seconds
        attempts, pause = 0, _FIRST_PAUSE
        while True:
            try:
                await target.send(body)
                return
            except (FunctionError, ExecutionRefused) as error:  # the event is too large, and stays so
                code, failure, condition = "INVALID_PARAMETER", error, ""
                break
            except (moto.MotoError, aiohttp.ClientError) as error:
                code, failure = "SDK_CLIENT_ERROR", error
            if attempts >= target.retries:
                condition = "MaximumRetryAttempts"
                break
            if asyncio.get_running_loop().time() + pause > end:
                condition = "MaximumEventAgeInSeconds"
                break
            attempts += 1
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
        self._log.write(f"{target.arn} did not get an event for {target.rule_arn}: {failure}")
        if target.dead_letter_url:
            # https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rule-dlq.html
            attributes = {
                "RULE_ARN": target.rule_arn,
                "TARGET_ARN": target.arn,
                "ERROR_CODE": code,
                "ERROR_MESSAGE": str(failure),
                "RETRY_ATTEMPTS": str(attempts),
            }
            attributes |= {"EXHAUSTED_RETRY_CONDITION": condition} if condition else {}
            try:
                await self._queues.send(target.dead_letter_url, body, attributes)
            except (moto.MotoError, aiohttp.ClientError) as error:
                self._log.write(f"{target.dead_letter_url} took no message: {error}")

    def _target(self, target: Resource, rule: Resource) -> Target:
        name = f"the target {target.name} of the rule {rule.state['name']}"
        arn, rule_arn = str(target.state["arn"]), str(rule.state["arn"])
        if unplayed := sorted(key for key, value in target.inputs.items() if value is not None and key not in _TARGET_KEYS):
            raise LocalError(f"{name}: {', '.join(unplayed)} is not played")
        function, url = self._function(arn), self._queues.url(arn)
        if function is not None:
            send = self._invoke(*function)
            allowed = function_allows(self._graph, function[0].name, function[1], rule_arn)
        elif url:
            send = partial(self._queues.send, url)
            allowed = bool(target.state.get("roleArn")) or queue_allows(self._graph, url, rule_arn)
        elif arn in self._machines:
            send = self._execute(self._machines[arn])
            role = str(target.state.get("roleArn"))
            allowed = role_trusts(self._graph, role, EVENTS, rule_arn)
            allowed = allowed and role_allows(self._graph, role, "states:StartExecution", arn)
        else:
            raise LocalError(
                f"{name}: {arn} is not played: only a queue, a function or a state machine of the program's own is"
            )
        dead_letter_config: Mapping[str, Any] = target.state.get("deadLetterConfig") or {}
        dead_letters = str(dead_letter_config.get("arn") or "")
        dead_letter_url = self._queues.url(dead_letters)
        if dead_letters and not dead_letter_url:
            raise LocalError(f"{name}: {dead_letters} is not played: only a queue of the program's own is")
        if not allowed:
            raise LocalError(f"{name}: {_not_allowed(arn, rule_arn)}")
        if dead_letters and not queue_allows(self._graph, dead_letter_url, rule_arn):
            raise LocalError(f"{name}: {_not_allowed(dead_letters, rule_arn)}")
        policy: Mapping[str, Any] = target.state.get("retryPolicy") or {}
        retries, age = policy.get("maximumRetryAttempts"), policy.get("maximumEventAgeInSeconds")
        return Target(
            arn,
            rule_arn,
            send,
            retries=_MOST_RETRIES if retries is None else int(retries),
            age_seconds=float(age or _MOST_AGE_SECONDS),
            dead_letter_url=dead_letter_url,
        )

    def _function(self, arn: str) -> tuple[Function, str | None] | None:
        """The function of an ARN with its qualifier, None if it is no function of the program."""
        match = re.fullmatch(r"arn:[^:]+:lambda:[^:]+:\d+:function:([^:]+)(?::([^:]+))?", arn)
        return (self._functions[match[1]], match[2]) if match and match[1] in self._functions else None

    def _invoke(self, function: Function, qualifier: str | None) -> Send:
        async def send(body: str) -> None:
            assert self._invocations is not None
            self._invocations.accept(function, qualifier, json.loads(body))

        return send

    def _execute(self, machine: StateMachine) -> Send:
        async def send(body: str) -> None:
            machine.start(body)

        return send


def _not_allowed(arn: str, rule_arn: str) -> str:
    if ":stateMachine:" in arn:
        return f"its role does not allow events.amazonaws.com to start executions of {arn} for {rule_arn}"
    return f"the policy of {arn} does not allow events.amazonaws.com to reach it for {rule_arn}"


def _invokes(graph: Graph) -> bool:
    return any(":lambda:" in str(target.state["arn"]) for target in graph.of_type(TARGET))


def _is_enabled(rule: Resource) -> bool:
    return rule.state.get("state") != "DISABLED" and rule.state.get("isEnabled") is not False


def _bus_name(rule: Resource) -> str:
    """A bus may be named by its ARN."""
    return str(rule.state.get("eventBusName") or "default").rpartition("/")[2]


def _is_target_of(target: Resource, rule: Resource) -> bool:
    return _bus_name(target) == _bus_name(rule) and target.state["rule"] == rule.state["name"]


def _pattern(rule: Resource) -> EventPattern:
    name = rule.state["name"]
    if rule.state.get("scheduleExpression"):
        raise LocalError(f"the rule {name}: a schedule is not played, and AWS takes one on the default bus alone")
    if not rule.state.get("eventPattern"):
        raise LocalError(f"the rule {name} has no event pattern")
    try:
        return EventPattern(rule.state["eventPattern"])
    except EventPatternError as error:
        raise LocalError(f"the rule {name}: {error}") from None
