"""Buses: which rules send an event where, and what becomes of one that cannot be delivered."""

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pytest

from pulumi_llm_local.aws_types.lambda_ import PERMISSION
from pulumi_llm_local.program.graph import Graph, Resource
from pulumi_llm_local.services import event_bus
from pulumi_llm_local.services.event_bus import BUS, RULE, TARGET, EventBuses, EventRefused, not_played
from pulumi_llm_local.services.event_log import EventLog
from pulumi_llm_local.services.local_run import LocalError
from pulumi_llm_local.services.moto import QUEUE, MotoError
from pulumi_llm_local.services.resource_policies import QUEUE_POLICY
from pulumi_llm_local.services.role_policies import ROLE, ROLE_POLICY
from pulumi_llm_local.services.step_functions.state_machine import ExecutionRefused

BUS_ARN = "arn:aws:events:us-east-1:123456789012:event-bus/jobs"
RULE_ARN = "arn:aws:events:us-east-1:123456789012:rule/jobs/accepted"
QUEUE_ARN = "arn:aws:sqs:us-east-1:123456789012:"
URL = "https://sqs.us-east-1.amazonaws.com/123456789012/"
FUNCTION = "arn:aws:lambda:us-east-1:123456789012:function:worker"
MACHINE = "arn:aws:states:us-east-1:123456789012:stateMachine:batches"
ROLE_ARN = "arn:aws:iam::123456789012:role/starts"
PATTERN = {"source": ["pulumi-llm.jobs"], "detail-type": ["job.accepted"]}


class Queues:
    """Queues that refuse as often as they are told, and then take everything."""

    def __init__(self, refusals: int = 0) -> None:
        self.refusals = refusals
        self.tries = 0
        self.sent: list[tuple[str, dict[str, Any], Mapping[str, str]]] = []
        self.came = asyncio.Event()

    def url(self, arn: str) -> str:
        return URL + arn.removeprefix(QUEUE_ARN) if arn in (QUEUE_ARN + "jobs", QUEUE_ARN + "dead") else ""

    async def send(self, url: str, body: str, attributes: Mapping[str, str] | None = None) -> None:
        if url == URL + "jobs":
            self.tries += 1
            if self.tries <= self.refusals:
                raise MotoError("it is throttled")
        self.sent.append((url.removeprefix(URL), json.loads(body), attributes or {}))
        self.came.set()


class Worker:
    name, arn = "worker", FUNCTION

    def __init__(self) -> None:
        self.events: list[Any] = []
        self.called = asyncio.Event()

    async def invoke(self, event: Any) -> None:
        self.events.append(event)
        self.called.set()


class Machine:
    """A state machine that refuses inputs which are too long."""

    def __init__(self) -> None:
        self.started: list[Any] = []
        self.called = asyncio.Event()

    def start(self, text: str) -> str:
        if len(text) > 10_000:
            raise ExecutionRefused("it is too long")
        self.started.append(json.loads(text))
        self.called.set()
        return ""


def role(*, service: str = "events.amazonaws.com", action: str = "states:StartExecution") -> list[Resource]:
    trust = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    starts = {"Effect": "Allow", "Action": action, "Resource": MACHINE}
    return [
        resource(ROLE, name="starts", arn=ROLE_ARN, assumeRolePolicy=json.dumps({"Statement": [trust]})),
        resource(ROLE_POLICY, role="starts", policy=json.dumps({"Statement": [starts]})),
    ]


def resource(type_: str, **state: Any) -> Resource:
    name = str(state.get("name") or state.get("targetId") or "r")
    return Resource(name, type_, name, name, state, state)


def statement(**changes: Any) -> dict[str, Any]:
    return {
        "Effect": "Allow",
        "Principal": {"Service": "events.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": "*",
        "Condition": {"ArnEquals": {"aws:SourceArn": RULE_ARN}},
    } | changes


def queue_policy(name: str, *statements: Any) -> Resource:
    return resource(QUEUE_POLICY, queueUrl=URL + name, policy=json.dumps({"Statement": list(statements)}))


QUEUES = [resource(QUEUE, name=name, arn=QUEUE_ARN + name, url=URL + name) for name in ("jobs", "dead")]
POLICIES = [queue_policy(name, statement()) for name in ("jobs", "dead")]


def rule(**changes: Any) -> Resource:
    given = {"name": "accepted", "arn": RULE_ARN, "eventBusName": "jobs", "eventPattern": json.dumps(PATTERN)}
    return resource(RULE, **given | changes)


def target(**changes: Any) -> Resource:
    return resource(
        TARGET, **{"rule": "accepted", "eventBusName": "jobs", "targetId": "q", "arn": QUEUE_ARN + "jobs"} | changes
    )


def buses(
    tmp_path: Path,
    queues: Queues,
    *resources: Resource,
    worker: Worker | None = None,
    machine: Machine | None = None,
) -> EventBuses:
    made = (resource(BUS, name="jobs", arn=BUS_ARN), *QUEUES, *resources)
    functions: Any = {"worker": worker} if worker else {}
    machines: Any = {MACHINE: machine} if machine else {}
    return EventBuses(Graph("us-east-1", made, {}, ()), cast("Any", queues), functions, machines, EventLog(tmp_path / "log"))


def put(bus: EventBuses, **changes: Any) -> None:
    event: dict[str, Any] = {"source": "pulumi-llm.jobs", "detail_type": "job.accepted", "detail": {"job": "1"}}
    bus.put(BUS_ARN, **event | changes)


async def test_a_queue_gets_the_whole_event(tmp_path: Path) -> None:
    queues = Queues()
    put(buses(tmp_path, queues, *POLICIES, rule(), target()), time="2026-01-01T00:00:00Z", resources=["arn:of:it"])
    await queues.came.wait()
    ((name, event, attributes),) = queues.sent
    assert len(event.pop("id")) == 36
    assert (name, attributes) == ("jobs", {})
    assert event == {
        "version": "0",
        "detail-type": "job.accepted",
        "source": "pulumi-llm.jobs",
        "account": "123456789012",
        "time": "2026-01-01T00:00:00Z",
        "region": "us-east-1",
        "resources": ["arn:of:it"],
        "detail": {"job": "1"},
    }


async def test_a_function_is_invoked_asynchronously(tmp_path: Path) -> None:
    worker = Worker()
    allowed = {"function": "worker", "qualifier": "live", "action": "lambda:InvokeFunction"}
    permission = resource(PERMISSION, **allowed, principal="events.amazonaws.com", sourceArn=RULE_ARN)
    put(buses(tmp_path, Queues(), permission, rule(), target(arn=FUNCTION + ":live"), worker=worker))
    await worker.called.wait()
    assert worker.events[0]["detail"] == {"job": "1"}


async def test_an_execution_of_a_state_machine_is_started(tmp_path: Path) -> None:
    machine = Machine()
    put(buses(tmp_path, Queues(), *role(), rule(), target(arn=MACHINE, roleArn=ROLE_ARN), machine=machine))
    await machine.called.wait()
    assert machine.started[0]["detail"] == {"job": "1"}


async def test_an_execution_that_is_refused_is_not_tried_again(tmp_path: Path) -> None:
    queues, machine = Queues(), Machine()
    sent = target(arn=MACHINE, roleArn=ROLE_ARN, deadLetterConfig={"arn": QUEUE_ARN + "dead"})
    put(buses(tmp_path, queues, *POLICIES, *role(), rule(), sent, machine=machine), detail={"job": "x" * 10_000})
    await queues.came.wait()
    ((name, _, attributes),) = queues.sent
    assert (name, attributes["RETRY_ATTEMPTS"], attributes["ERROR_MESSAGE"]) == ("dead", "0", "it is too long")


@pytest.mark.parametrize(
    "roles",
    [[], role(service="states.amazonaws.com"), role(action="states:StopExecution")],
    ids=["no role", "a role of another service's", "a role that may not"],
)
def test_a_state_machine_that_a_rule_may_not_start(roles: list[Resource], tmp_path: Path) -> None:
    with pytest.raises(LocalError, match=r"its role does not allow events\.amazonaws\.com to start executions"):
        buses(tmp_path, Queues(), *roles, rule(), target(arn=MACHINE, roleArn=ROLE_ARN), machine=Machine())


NOT_MATCHED: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "another detail type": ({}, {"detail_type": "job.started"}),
    "another source": ({}, {"source": "somebody"}),
    "a rule that is disabled": ({"state": "DISABLED"}, {}),
    "a rule that is disabled, by the older name": ({"isEnabled": False}, {}),
    "a rule of another bus": ({"eventBusName": "default"}, {}),
}


@pytest.mark.parametrize(("changes", "event"), NOT_MATCHED.values(), ids=NOT_MATCHED)
async def test_which_events_are_not_sent(changes: dict[str, Any], event: dict[str, Any], tmp_path: Path) -> None:
    queues = Queues()
    every = rule(name="every", eventPattern='{"version": ["0"]}')
    put(buses(tmp_path, queues, *POLICIES, rule(**changes), target(), every, target(rule="every", roleArn="arn:r")), **event)
    await queues.came.wait()
    assert len(queues.sent) == 1  # by the other rule, whose event has come


async def test_a_delivery_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_bus, "_FIRST_PAUSE", 0.001)
    queues = Queues(refusals=3)
    put(buses(tmp_path, queues, *POLICIES, rule(), target()))
    await queues.came.wait()
    assert [name for name, *_ in queues.sent] == ["jobs"]


EXHAUSTED: dict[str, tuple[dict[str, Any], str, str]] = {
    "retries": ({"maximumRetryAttempts": 1}, "MaximumRetryAttempts", "1"),
    "no retries": ({"maximumRetryAttempts": 0}, "MaximumRetryAttempts", "0"),
    "age": ({"maximumEventAgeInSeconds": 60}, "MaximumEventAgeInSeconds", "0"),
}


@pytest.mark.parametrize(("policy", "condition", "attempts"), EXHAUSTED.values(), ids=EXHAUSTED)
async def test_what_cannot_be_delivered_is_a_dead_letter(
    policy: dict[str, Any], condition: str, attempts: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_bus, "_FIRST_PAUSE", 99.0 if condition == "MaximumEventAgeInSeconds" else 0.001)
    queues = Queues(refusals=99)
    letters = {"deadLetterConfig": {"arn": QUEUE_ARN + "dead"}, "retryPolicy": policy}
    put(buses(tmp_path, queues, *POLICIES, rule(), target(**letters)))
    await queues.came.wait()
    ((name, event, attributes),) = queues.sent
    assert (name, event["detail"]) == ("dead", {"job": "1"})
    assert attributes == {
        "RULE_ARN": RULE_ARN,
        "TARGET_ARN": QUEUE_ARN + "jobs",
        "ERROR_CODE": "SDK_CLIENT_ERROR",
        "ERROR_MESSAGE": "it is throttled",
        "RETRY_ATTEMPTS": attempts,
        "EXHAUSTED_RETRY_CONDITION": condition,
    }
    assert "it is throttled" in (tmp_path / "log").read_text()


REFUSED_EVENTS: dict[str, tuple[dict[str, Any], str]] = {
    "AWS's own source": ({"source": "aws.jobs"}, "NotAuthorizedForSource"),
    "no source": ({"source": ""}, "NotAuthorizedForSource"),
    "no detail type": ({"detail_type": ""}, "1 to 128 characters"),
    "a long detail type": ({"detail_type": "x" * 129}, "1 to 128 characters"),
    "a text for a detail": ({"detail": "text"}, "MalformedDetail"),
    "a large one": ({"detail": {"text": "x" * 256 * 1024}}, "the limit is 262,144"),
}


@pytest.mark.parametrize(("changes", "text"), REFUSED_EVENTS.values(), ids=REFUSED_EVENTS)
async def test_which_events_are_refused(changes: dict[str, Any], text: str, tmp_path: Path) -> None:
    with pytest.raises(EventRefused, match=text):
        put(buses(tmp_path, Queues()), **changes)


NO_ACCESS = "does not allow events.amazonaws.com to reach it"
REFUSED: dict[str, tuple[list[Resource], str]] = {
    "a schedule": ([rule(scheduleExpression="rate(1 minute)", eventPattern=None)], "a schedule is not played"),
    "no pattern": ([rule(eventPattern=None)], "has no event pattern"),
    "an unknown operator": ([rule(eventPattern='{"a": [{"begins": "x"}]}')], "the rule accepted: a: the operator begins"),
    "an input path": ([*POLICIES, rule(), target(inputPath="$.detail")], "inputPath is not played"),
    "a transformer": ([*POLICIES, rule(), target(inputTransformer={"inputTemplate": "x"})], "inputTransformer is not played"),
    "another target": (
        [rule(), target(arn="arn:aws:sns:us-east-1:123456789012:t")],
        "only a queue, a function or a state machine",
    ),
    "an unknown function": ([rule(), target(arn=FUNCTION + "-other")], "only a queue, a function or a state machine"),
    "a queue without a policy": ([rule(), target()], NO_ACCESS),
    "a queue for another rule": ([queue_policy("jobs", statement()), rule(arn=RULE_ARN + "-2"), target()], NO_ACCESS),
    "a queue for another service": (
        [queue_policy("jobs", statement(Principal={"Service": "sns.amazonaws.com"})), rule(), target()],
        NO_ACCESS,
    ),
    "a queue for another action": ([queue_policy("jobs", statement(Action="sqs:ReceiveMessage")), rule(), target()], NO_ACCESS),
    "a queue that denies": ([queue_policy("jobs", statement(Effect="Deny")), rule(), target()], NO_ACCESS),
    "a function without a permission": ([rule(), target(arn=FUNCTION)], NO_ACCESS),
    "a dead letter queue without a policy": (
        [POLICIES[0], rule(), target(deadLetterConfig={"arn": QUEUE_ARN + "dead"})],
        "the policy of .*:dead does not allow",
    ),
    "another dead letter queue": (
        [POLICIES[0], rule(), target(deadLetterConfig={"arn": QUEUE_ARN + "elsewhere"})],
        "elsewhere is not played",
    ),
}


@pytest.mark.parametrize(("resources", "text"), REFUSED.values(), ids=REFUSED)
async def test_what_is_refused(resources: list[Resource], text: str, tmp_path: Path) -> None:
    worker = (
        Worker() if "function without" in text or any(str(each.state.get("arn")) == FUNCTION for each in resources) else None
    )
    with pytest.raises(LocalError, match=text):
        buses(tmp_path, Queues(), *resources, worker=worker)


def test_the_rules_of_the_default_bus_are_passed_over() -> None:
    assert not_played(Graph("us-east-1", (rule(eventBusName=None),), {}, ())) == {f"{RULE} (events of AWS's own)"}
    assert not_played(Graph("us-east-1", (resource(BUS, name="jobs", arn=BUS_ARN), rule()), {}, ())) == set()
