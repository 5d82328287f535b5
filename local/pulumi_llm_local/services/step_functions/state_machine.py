"""The program's state machines, of the type Standard.

https://docs.aws.amazon.com/step-functions/latest/dg/welcome.html

An execution is started by a rule of EventBridge's. A machine's role is asked for each thing that a state does. Executions end
with the run, and their input and output are written nowhere. Not played: Express, what `definition` and `interpreter` say, and
the API by which executions are started, listed and stopped.
"""

import asyncio
import json
import uuid
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import aiohttp

from pulumi_llm_local.program.graph import Graph, Resource
from pulumi_llm_local.services import moto
from pulumi_llm_local.services.event_log import EventLog
from pulumi_llm_local.services.lambda_function import Function, FunctionError
from pulumi_llm_local.services.local_run import LocalError, LocalRun
from pulumi_llm_local.services.role_policies import role_allows, role_trusts
from pulumi_llm_local.services.step_functions import definition
from pulumi_llm_local.services.step_functions.errors import ITEM_READER, PERMISSIONS, DefinitionError, StateError
from pulumi_llm_local.services.step_functions.interpreter import CHILD, MOST_BYTES, Execution, timestamp

STATE_MACHINE: Final = "aws:sfn/stateMachine:StateMachine"
PLAYED: Final = frozenset({STATE_MACHINE})
IMPLIED: Final = frozenset[str]()
_SERVICE: Final = "states.amazonaws.com"
# How many executions a machine remembers.
_REMEMBERED: Final = 100


async def start(run: LocalRun) -> None:
    """Play the program's state machines. Raises `LocalError` for what is not played, or what AWS refuses."""
    resources = list(run.graph.of_type(STATE_MACHINE))
    if not resources:
        return
    session = aiohttp.ClientSession()
    run.stop.push_async_callback(session.close)
    objects = Objects(session, run.variables[moto.S3_ENDPOINT], run.graph.region)
    for resource in resources:
        log = EventLog(run.logs / f"{resource.name}.log")
        machine = StateMachine(resource, run.graph, run.functions, objects, log)
        run.state_machines[machine.arn] = machine
        run.stop.push_async_callback(machine.stop)


class ExecutionRefused(Exception):
    """StartExecution refuses: it fails whenever it is tried."""


class Objects:
    """The objects of S3's, which moto has."""

    def __init__(self, session: aiohttp.ClientSession, url: str, region: str) -> None:
        self._session, self._url, self._region = session, url, region

    async def read(self, bucket: str, key: str) -> bytes:
        """Return an object. Raises `MotoError` and `aiohttp.ClientError`."""
        async with self._session.get(f"{self._url}/{bucket}/{key}", headers=moto.scope(self._region, "s3")) as response:
            if response.status != 200:
                raise moto.MotoError(f"s3://{bucket}/{key}: {await response.text()}")
            return await response.read()


@dataclass
class ExecutionRecord:
    """What is shown of an execution. `state` is the one that it is in, or that ended it."""

    name: str
    started: str
    status: str = "RUNNING"
    state: str = ""
    failed_tries: int = 0
    ended: str = ""


class StateMachine:
    """One state machine. Raises `LocalError`."""

    def __init__(
        self, resource: Resource, graph: Graph, functions: Mapping[str, Function], objects: Objects, log: EventLog
    ) -> None:
        state = resource.state
        self.arn, self.name = str(state["arn"]), str(state["name"])
        # The latest executions, the oldest first. Those of a Map's items are not among them, as in the console.
        self.executions: deque[ExecutionRecord] = deque(maxlen=_REMEMBERED)
        self._resource, self._graph, self._functions, self._objects, self._log = resource, graph, functions, objects, log
        self._role = str(state["roleArn"])
        self._records: dict[str, ExecutionRecord] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        if state.get("type") not in (None, "STANDARD"):
            raise self._error(f"the type {state['type']} is not played: only STANDARD is")
        try:
            self._definition = definition.parse(str(state["definition"]))
        except DefinitionError as error:
            raise self._error(f"InvalidDefinition: {error}") from None
        if not role_trusts(self._graph, self._role, _SERVICE, self.arn):
            raise self._error(f"{_SERVICE} is not authorized to assume the provided role {self._role}")

    def start(self, text: str) -> str:
        """Start an execution, and return its ARN. Raises `ExecutionRefused`.

        https://docs.aws.amazon.com/step-functions/latest/apireference/API_StartExecution.html
        """
        if len(text.encode()) > MOST_BYTES:
            raise ExecutionRefused(f"InvalidExecutionInput: the input is longer than {MOST_BYTES:,} bytes")
        record = ExecutionRecord(str(uuid.uuid4()), timestamp())
        arn = f"{self.arn.replace(':stateMachine:', ':execution:')}:{record.name}"
        context = {
            "Execution": {
                "Id": arn,
                "Input": json.loads(text),
                "Name": record.name,
                "RoleArn": self._role,
                "StartTime": record.started,
            },
            "StateMachine": {"Id": self.arn, "Name": self.name},
        }
        self.executions.append(record)
        self._records[record.name] = record
        self._begin(asyncio.ensure_future(self._run(record, Execution(self._definition, self, context))))
        return arn

    async def stop(self) -> None:
        """End all executions."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _run(self, record: ExecutionRecord, execution: Execution) -> None:
        self._log.write(f"{record.name} started")
        try:
            await execution.run()
            record.status = "SUCCEEDED"
            self._log.write(f"{record.name} succeeded")
        except StateError as error:
            record.status = "FAILED"
            self._log.write(f"{record.name} failed: {error}")
        finally:
            record.ended = timestamp()
            del self._records[record.name]

    def _begin(self, task: asyncio.Task[Any]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # What states do: `interpreter.Actions`.

    async def invoke(self, function: str, payload: Any, timeout: float | None) -> Any:
        self._check("lambda:InvokeFunction", function, "Lambda.AWSLambdaException")
        played = self._functions.get(function.split(":")[6])
        if played is None:
            raise StateError("Lambda.ResourceNotFoundException", f"Function not found: {function}")
        invoked = asyncio.ensure_future(played.invoke(payload))
        self._begin(invoked)
        done, _ = await asyncio.wait({invoked}, timeout=timeout)
        if not done:
            raise StateError("States.Timeout", f"The task took longer than {timeout:g} seconds")
        try:
            return invoked.result()
        except FunctionError as error:
            cause = json.dumps({"errorMessage": str(error), "errorType": error.error_type})
            raise StateError(error.error_type, cause) from None

    async def read_lines(self, bucket: str, key: str) -> Sequence[Any]:
        self._check("s3:GetObject", f"arn:{self.arn.split(':')[1]}:s3:::{bucket}/{key}", ITEM_READER)
        try:
            text = await self._objects.read(bucket, key)
            return [json.loads(line) for line in text.splitlines() if line.strip()]
        except (moto.MotoError, aiohttp.ClientError, ValueError) as error:
            raise StateError(ITEM_READER, str(error)) from None

    def check_child(self) -> None:
        self._check("states:StartExecution", self.arn, PERMISSIONS)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def entered(self, execution: str, state: str) -> None:
        self._log.write(f"{execution} {state}")
        if record := self._record(execution):
            record.state = state

    def failed(self, execution: str, state: str, error: StateError, retried_in: float | None) -> None:
        again = "" if retried_in is None else f"; again in {retried_in:.1f} s"
        self._log.write(f"{execution} {state} failed: {error}{again}")
        if record := self._record(execution):
            record.failed_tries += 1

    def _record(self, execution: str) -> ExecutionRecord | None:
        """What is shown of an execution, or of that which has started it for an item."""
        return self._records.get(execution.partition(CHILD)[0])

    def _check(self, action: str, resource: str, error: str) -> None:
        if not role_allows(self._graph, self._role, action, resource):
            raise StateError(error, f"{self._role} is not authorized to perform: {action} on resource: {resource}")

    def _error(self, text: str) -> LocalError:
        return LocalError(f"the state machine {self._resource.name}: {text}")
