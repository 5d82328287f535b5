"""State machines of a program: who may start and do what, and what is known of their executions."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any, cast

import pytest

from pulumi_llm_local.program.graph import Graph, Resource
from pulumi_llm_local.services.lambda_function import FunctionError, FunctionRaised, FunctionThrottled, FunctionTimedOut
from pulumi_llm_local.services.local_run import LocalError
from pulumi_llm_local.services.moto import MotoError
from pulumi_llm_local.services.role_policies import ROLE, ROLE_POLICY
from pulumi_llm_local.services.step_functions.state_machine import STATE_MACHINE, ExecutionRefused, StateMachine

MACHINE = "arn:aws:states:us-east-1:123456789012:stateMachine:batches"
ROLE_ARN = "arn:aws:iam::123456789012:role/batches"
FUNCTION = "arn:aws:lambda:us-east-1:123456789012:function:batch:live"
TRUST = {"Effect": "Allow", "Principal": {"Service": "states.amazonaws.com"}, "Action": "sts:AssumeRole"}
ALLOWED = {
    "lambda:InvokeFunction": FUNCTION,
    "s3:GetObject": "arn:aws:s3:::b/batches/*",
    "states:StartExecution": MACHINE,
}
TASK: dict[str, Any] = {"Type": "Task", "Resource": FUNCTION, "End": True}
MAP: dict[str, Any] = {
    "Type": "Map",
    "ItemReader": {
        "Resource": "arn:aws:states:::s3:getObject",
        "ReaderConfig": {"InputType": "JSONL"},
        "Parameters": {"Bucket": "b", "Key.$": "$.key"},
    },
    "ItemProcessor": {
        "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
        "StartAt": "Infer",
        "States": {"Infer": TASK},
    },
    "End": True,
}


class Function:
    def __init__(self, answer: Any = None, hold: asyncio.Event | None = None) -> None:
        self.answer, self.hold = answer, hold
        self.events: list[Any] = []
        self.called = asyncio.Event()
        self.ended = False

    async def invoke(self, event: Any) -> Any:
        self.events.append(event)
        self.called.set()
        if self.hold is not None:
            await self.hold.wait()
        self.ended = True
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class Log:
    """The log, and when the execution has ended."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.ended = asyncio.Event()

    def write(self, line: str) -> None:
        self.lines.append(line.split(" ", 1)[1])
        if self.lines[-1].startswith(("succeeded", "failed: ")):
            self.ended.set()


class Objects:
    def __init__(self, **objects: bytes) -> None:
        self._objects = objects

    async def read(self, bucket: str, key: str) -> bytes:
        if key.rpartition("/")[2] not in self._objects:
            raise MotoError(f"s3://{bucket}/{key}: NoSuchKey")
        return self._objects[key.rpartition("/")[2]]


def resource(type_: str, **state: Any) -> Resource:
    return Resource(type_, type_, "batches", "id", state, state)


def made(
    first: Mapping[str, Any],
    function: Function | None = None,
    *,
    allowed: Mapping[str, str] = ALLOWED,
    trust: Mapping[str, Any] = TRUST,
    objects: Mapping[str, bytes] | None = None,
    **changes: Any,
) -> StateMachine:
    statements = [{"Effect": "Allow", "Action": [action], "Resource": name} for action, name in allowed.items()]
    role = resource(ROLE, name="batches", arn=ROLE_ARN, assumeRolePolicy=json.dumps({"Statement": [trust]}))
    policy = resource(ROLE_POLICY, role="batches", policy=json.dumps({"Statement": statements}))
    text = json.dumps({"StartAt": "First", "States": {"First": first}})
    machine = resource(STATE_MACHINE, **{"arn": MACHINE, "name": "batches", "roleArn": ROLE_ARN, "definition": text} | changes)
    functions: Any = {"batch": function or Function()}
    graph = Graph("us-east-1", (role, policy), {}, ())
    return StateMachine(machine, graph, functions, cast("Any", Objects(**objects or {})), cast("Any", Log()))


def log_of(machine: StateMachine) -> Log:
    return cast("Log", cast("Any", machine)._log)


async def ended(machine: StateMachine, given: Any = None) -> str:
    """Run one execution, and return the line that tells its end."""
    machine.start(json.dumps(given or {}))
    await log_of(machine).ended.wait()
    return log_of(machine).lines[-1]


async def test_an_execution_invokes_the_function() -> None:
    function = Function("done")
    machine = made(TASK, function)
    assert await ended(machine, {"detail": {"batch": "batch_1"}}) == "succeeded"
    assert function.events == [{"detail": {"batch": "batch_1"}}]
    (record,) = machine.executions
    assert (record.status, record.state, record.failed_tries) == ("SUCCEEDED", "First", 0)


async def test_an_execution_s_data_is_in_no_log() -> None:
    machine = made(TASK, Function({"secret": "abc"}))
    await ended(machine, {"secret": "abc"})
    assert "abc" not in "\n".join(log_of(machine).lines)


FAILURES: dict[str, tuple[Exception, str]] = {
    "an exception of its own": (FunctionRaised("later", "Postponed"), "Postponed"),
    "its death": (FunctionError("it died"), "Lambda.Unknown"),
    "a timeout": (FunctionTimedOut("too long"), "Sandbox.Timedout"),
    "no execution that is free": (FunctionThrottled("too many"), "Lambda.TooManyRequestsException"),
}


@pytest.mark.parametrize(("failure", "name"), FAILURES.values(), ids=FAILURES)
async def test_an_error_of_a_function_has_its_name(failure: Exception, name: str) -> None:
    assert (await ended(made(TASK, Function(failure)))).startswith(f"failed: {name}: ")


@pytest.mark.parametrize("missing", ALLOWED)
async def test_what_the_role_does_not_allow_fails(missing: str) -> None:
    allowed = {action: name for action, name in ALLOWED.items() if action != missing}
    machine = made(MAP, allowed=allowed, objects={"chunks.jsonl": b"{}\n"})
    assert (await ended(machine, {"key": "batches/x/chunks.jsonl"})).startswith("failed: ")
    assert f"is not authorized to perform: {missing} on resource" in "\n".join(log_of(machine).lines)


async def test_what_the_role_allows_succeeds() -> None:
    assert await ended(made(MAP, objects={"chunks.jsonl": b"{}\n"}), {"key": "batches/x/chunks.jsonl"}) == "succeeded"


async def test_a_record_counts_the_failed_tries_of_the_items() -> None:
    machine = made(
        MAP | {"ToleratedFailurePercentage": 100}, Function(FunctionError("it died")), objects={"chunks.jsonl": b"{}\n{}\n"}
    )
    await ended(machine, {"key": "batches/x/chunks.jsonl"})
    (record,) = machine.executions
    assert (record.status, record.failed_tries) == ("SUCCEEDED", 2)


async def test_an_object_elsewhere_is_not_read() -> None:
    line = await ended(made(MAP, objects={"chunks.jsonl": b"{}\n"}), {"key": "files/chunks.jsonl"})
    assert line.startswith("failed: States.ItemReaderFailed: ")


@pytest.mark.parametrize("objects", [{}, {"chunks.jsonl": b"{}\nno JSON\n"}])
async def test_an_object_that_cannot_be_read_fails(objects: Mapping[str, bytes]) -> None:
    line = await ended(made(MAP, objects=objects), {"key": "batches/x/chunks.jsonl"})
    assert line.startswith("failed: States.ItemReaderFailed: ")


async def test_a_task_that_takes_too_long_fails_and_its_function_runs_on() -> None:
    hold = asyncio.Event()
    function = Function(hold=hold)
    assert (await ended(made(TASK | {"TimeoutSeconds": 1}, function))).startswith("failed: States.Timeout: ")
    hold.set()
    await asyncio.sleep(0)
    assert function.ended


async def test_executions_end_with_the_run() -> None:
    function = Function(hold=asyncio.Event())
    machine = made(TASK, function)
    machine.start("{}")
    await function.called.wait()
    await machine.stop()
    assert (function.ended, machine.executions[-1].ended != "") == (False, True)


def test_an_input_that_is_too_long_is_refused() -> None:
    with pytest.raises(ExecutionRefused, match="262,144 bytes"):
        made(TASK).start(json.dumps("x" * 256 * 1024))


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "Express": ({"type": "EXPRESS"}, "EXPRESS is not played"),
    "a definition": ({"definition": "{}"}, "InvalidDefinition: "),
    "a role that nobody may take": ({"trust": TRUST | {"Principal": {"Service": "lambda.amazonaws.com"}}}, "not authorized"),
    "a role for another machine": (
        {"trust": TRUST | {"Condition": {"ArnLike": {"aws:SourceArn": f"{MACHINE}-other"}}}},
        "not authorized",
    ),
    "a role of elsewhere": ({"roleArn": "arn:aws:iam::123456789012:role/other"}, "not authorized"),
}


@pytest.mark.parametrize(("changes", "problem"), REFUSED.values(), ids=REFUSED)
def test_a_machine_that_would_not_work(changes: dict[str, Any], problem: str) -> None:
    with pytest.raises(LocalError, match=f"the state machine batches: .*{problem}"):
        made(TASK, **changes)
