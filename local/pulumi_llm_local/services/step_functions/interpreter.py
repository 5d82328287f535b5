"""Runs a checked definition: one execution, state after state.

https://states-language.net/spec.html
https://docs.aws.amazon.com/step-functions/latest/dg/state-map-distributed.html
"""

import asyncio
import json
import random
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, Protocol, cast

from pulumi_llm_local.services.step_functions import choice
from pulumi_llm_local.services.step_functions.errors import (
    DATA_LIMIT,
    NO_CHOICE,
    RUNTIME,
    THRESHOLD,
    TIMEOUT,
    StateError,
    matches,
)
from pulumi_llm_local.services.step_functions.paths import filtered, rendered, value_at, with_result

# https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html
MOST_BYTES: Final = 256 * 1024
# "The default limit" of a Distributed Map. https://docs.aws.amazon.com/step-functions/latest/dg/state-map-distributed.html
_MOST_CHILDREN: Final = 10_000
# Stands between the name of an execution and the number of an item in the name of the item's: a log so tells whose it is.
CHILD: Final = "_"


class Actions(Protocol):
    """What states do with other services. Each raises `StateError`."""

    async def invoke(self, function: str, payload: Any, timeout: float | None) -> Any:
        """Invoke a function by its ARN, and return its answer. One that takes longer than `timeout` seconds runs on."""
        ...

    async def read_lines(self, bucket: str, key: str) -> Sequence[Any]:
        """Return the lines of an object of S3's, each of which is a JSON value."""
        ...

    def check_child(self) -> None:
        """Look whether a Distributed Map may start executions."""
        ...

    async def sleep(self, seconds: float) -> None: ...

    def entered(self, execution: str, state: str) -> None:
        """An execution has come to a state."""
        ...

    def failed(self, execution: str, state: str, error: StateError, retried_in: float | None) -> None:
        """A state has failed; it is tried again after so many seconds, or not at all."""
        ...


class Execution:
    """One execution of a definition, or of an item processor.

    `context` is the context object: its Execution, StateMachine and, for an item, Map.
    https://docs.aws.amazon.com/step-functions/latest/dg/input-output-contextobject.html
    """

    def __init__(self, machine: Mapping[str, Any], actions: Actions, context: Mapping[str, Any]) -> None:
        self._machine, self._actions = machine, actions
        self._context = dict(context)
        self._name = str(context["Execution"]["Name"])
        self._types: Mapping[str, Callable[[Mapping[str, Any], Any], Awaitable[Any]]] = {
            "Task": self._task,
            "Map": self._map,
            "Pass": self._pass,
            "Wait": self._wait,
            "Choice": self._choice,
            "Succeed": self._succeed,
            "Fail": self._fail,
        }

    async def run(self) -> Any:
        """Return the execution's output. Raises `StateError`."""
        try:
            async with asyncio.timeout(self._machine.get("TimeoutSeconds")):
                return await self._run()
        except TimeoutError:
            raise StateError(TIMEOUT, "The execution timed out") from None

    async def _run(self) -> Any:
        name, data = str(self._machine["StartAt"]), self._context["Execution"]["Input"]
        while name:
            state = self._machine["States"][name]
            self._actions.entered(self._name, name)
            self._context["State"] = {"Name": name, "EnteredTime": timestamp(), "RetryCount": 0}
            name, data = await self._step(state, name, data)
        return data

    async def _step(self, state: Mapping[str, Any], name: str, data: Any) -> tuple[str, Any]:
        """Run one state, as often as its retriers say. Returns what follows, "" for the end, and the data."""
        tries = [0] * len(state.get("Retry", ()))
        while True:
            try:
                given = filtered(state.get("InputPath", "$"), data, self._context)
                result = await self._types[state["Type"]](state, given)
                if state["Type"] in ("Task", "Map", "Pass"):
                    result = with_result(state.get("ResultPath", "$"), data, result)
                output = filtered(state.get("OutputPath", "$"), result, self._context) if state["Type"] != "Fail" else result
                _check_size(output, f"The state/task '{name}' returned a result")
                return self._next(state, data), output
            except StateError as error:
                pause = _pause(state.get("Retry", ()), tries, error)
                self._actions.failed(self._name, name, error, pause)
                if pause is None:
                    return self._caught(state, data, error)
                await self._actions.sleep(pause)
                self._context["State"]["RetryCount"] += 1

    def _caught(self, state: Mapping[str, Any], data: Any, error: StateError) -> tuple[str, Any]:
        for catcher in state.get("Catch", ()):
            if matches(error.error, catcher["ErrorEquals"]):
                output = {"Error": error.error, "Cause": error.cause}
                return str(catcher["Next"]), with_result(catcher.get("ResultPath", "$"), data, output)
        raise error

    def _next(self, state: Mapping[str, Any], data: Any) -> str:
        if state["Type"] != "Choice":
            return str(state.get("Next", ""))
        given = filtered(state.get("InputPath", "$"), data, self._context)
        for rule in state["Choices"]:
            if choice.is_met(rule, given, self._context):
                return str(rule["Next"])
        if "Default" not in state:
            raise StateError(NO_CHOICE, "Failed to transition out of the state: the state does not have a Default")
        return str(state["Default"])

    async def _task(self, state: Mapping[str, Any], given: Any) -> Any:
        payload = rendered(state["Parameters"], given, self._context) if "Parameters" in state else given
        _check_size(payload, "The task's input has a size")
        function = str(state["Resource"])
        integrated = function.endswith("lambda:invoke")
        if integrated:
            function, payload = str(payload["FunctionName"]), payload.get("Payload", {})
        result = await self._actions.invoke(function, payload, state.get("TimeoutSeconds"))
        if integrated:
            result = {"ExecutedVersion": function.rpartition(":")[2], "Payload": result, "StatusCode": 200}
        _check_size(result, "The state/task returned a result")
        return self._selected(state, result)

    async def _map(self, state: Mapping[str, Any], given: Any) -> Any:
        items: Any
        if "ItemReader" in state:
            place = rendered(state["ItemReader"]["Parameters"], given, self._context)
            items = await self._actions.read_lines(str(place["Bucket"]), str(place["Key"]))
        else:
            items = value_at(state.get("ItemsPath", "$"), given, self._context)
            if not isinstance(items, list):
                raise StateError(RUNTIME, "The items of a Map state are an array")
        self._actions.check_child()
        children = _Children(state, [self._child(state, given, *item) for item in enumerate(cast("list[Any]", items))])
        outputs = await children.run()
        _check_size(outputs, "The Map state returned a result")
        return self._selected(state, outputs)

    def _child(self, state: Mapping[str, Any], given: Any, index: int, item: Any) -> "Execution":
        context = {**self._context, "Map": {"Item": {"Index": index, "Value": item}}}
        selected = rendered(state["ItemSelector"], given, context) if "ItemSelector" in state else item
        _check_size(selected, f"The item {index} has a size")
        parent = self._context["Execution"]
        name = f"{parent['Name']}{CHILD}{index}"
        execution = {
            **parent,
            "Id": f"{str(parent['Id']).rpartition(':')[0]}:{name}",
            "Name": name,
            "Input": selected,
            "StartTime": timestamp(),
        }
        processor = state["ItemProcessor"]
        return Execution(processor, self._actions, {**context, "Execution": execution})

    def record(self, error: StateError) -> Mapping[str, Any]:
        """What a Map state's output has in the place of the output of a child that has failed."""
        execution = self._context["Execution"]
        return {
            "ExecutionArn": execution["Id"],
            "Input": json.dumps(execution["Input"]),
            "InputDetails": {"Included": True},
            "Name": execution["Name"],
            "StartDate": execution["StartTime"],
            "StateMachineArn": self._context["StateMachine"]["Id"],
            "Status": "TIMED_OUT" if error.error == TIMEOUT else "FAILED",
            "StopDate": timestamp(),
            "Error": error.error,
            "Cause": error.cause,
        }

    async def _pass(self, state: Mapping[str, Any], given: Any) -> Any:
        if "Result" in state:
            return state["Result"]
        return rendered(state["Parameters"], given, self._context) if "Parameters" in state else given

    async def _wait(self, state: Mapping[str, Any], given: Any) -> Any:
        name, value = next((name, state[name]) for name in state if name.startswith(("Seconds", "Timestamp")))
        if name.endswith("Path"):
            value = value_at(value, given, self._context)
        if name.startswith("Timestamp"):
            value = (datetime.fromisoformat(value) - datetime.now(UTC)).total_seconds()
        await self._actions.sleep(max(0, value))
        return given

    async def _choice(self, state: Mapping[str, Any], given: Any) -> Any:
        return given

    async def _succeed(self, state: Mapping[str, Any], given: Any) -> Any:
        return given

    async def _fail(self, state: Mapping[str, Any], given: Any) -> Any:
        raise StateError(str(state.get("Error", "")), str(state.get("Cause", "")))

    def _selected(self, state: Mapping[str, Any], result: Any) -> Any:
        return rendered(state["ResultSelector"], result, self._context) if "ResultSelector" in state else result


class _Children:
    """The executions of a Distributed Map's items."""

    def __init__(self, state: Mapping[str, Any], children: Sequence[Execution]) -> None:
        self._children = children
        self._workers = min(int(state.get("MaxConcurrency", 0)) or _MOST_CHILDREN, _MOST_CHILDREN, len(children))
        self._tolerated_count = state.get("ToleratedFailureCount")
        self._tolerated_percentage = state.get("ToleratedFailurePercentage")
        self._outputs: list[Any] = [None] * len(children)
        self._failures = 0

    async def run(self) -> list[Any]:
        """Return the outputs in the items' order. Raises `StateError` once more have failed than may."""
        waiting = iter(enumerate(self._children))
        workers = [asyncio.ensure_future(self._work(waiting)) for _ in range(self._workers)]
        try:
            await asyncio.gather(*workers)
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
        return self._outputs

    async def _work(self, waiting: Iterator[tuple[int, Execution]]) -> None:
        for index, child in waiting:
            try:
                self._outputs[index] = await child.run()
            except StateError as error:
                self._outputs[index] = child.record(error)
                self._failures += 1
                if self._are_too_many():
                    raise StateError(THRESHOLD, "The specified tolerated failure threshold was exceeded") from None

    def _are_too_many(self) -> bool:
        """Tell whether either threshold is exceeded; without any, one failure is too many.

        https://docs.aws.amazon.com/step-functions/latest/dg/state-map-distributed.html#maprun-fail-threshold
        """
        count, percentage = self._tolerated_count, self._tolerated_percentage
        if count is None and percentage is None:
            return True
        share = 100 * self._failures / len(self._children)
        return (count is not None and self._failures > count) or (percentage is not None and share > percentage)


def timestamp() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _pause(retriers: Sequence[Mapping[str, Any]], tries: list[int], error: StateError) -> float | None:
    """Seconds before the next try; None where there is none. The first retrier that names the error decides alone."""
    for index, retrier in enumerate(retriers):
        if not matches(error.error, retrier["ErrorEquals"]):
            continue
        if tries[index] >= retrier.get("MaxAttempts", 3):
            return None
        # So many doublings are longer than any execution; more would be no number any more.
        pause = float(retrier.get("IntervalSeconds", 1)) * float(retrier.get("BackoffRate", 2.0)) ** min(tries[index], 64)
        pause = min(pause, retrier.get("MaxDelaySeconds", pause))
        tries[index] += 1
        return random.uniform(0, pause) if retrier.get("JitterStrategy") == "FULL" else pause  # noqa: S311
    return None


def _check_size(data: Any, what: str) -> None:
    if len(json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode()) > MOST_BYTES:
        raise StateError(DATA_LIMIT, f"{what} exceeding the maximum number of bytes service limit.")
