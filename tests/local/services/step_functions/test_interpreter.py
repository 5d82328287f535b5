"""Executions: data from state to state, choices, retries, catchers and the Distributed Map."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from pulumi_llm_local.services.step_functions.definition import parse
from pulumi_llm_local.services.step_functions.errors import StateError
from pulumi_llm_local.services.step_functions.interpreter import Execution

FUNCTION = "arn:aws:lambda:us-east-1:123456789012:function:batch:live"
MACHINE = "arn:aws:states:us-east-1:123456789012:stateMachine:batches"
DONE: dict[str, Any] = {"Type": "Succeed"}
PROCESSOR: dict[str, Any] = {
    "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
    "StartAt": "Infer",
    "States": {"Infer": {"Type": "Task", "Resource": FUNCTION, "End": True}},
}
MAP: dict[str, Any] = {
    "Type": "Map",
    "ItemReader": {
        "Resource": "arn:aws:states:::s3:getObject",
        "ReaderConfig": {"InputType": "JSONL"},
        "Parameters": {"Bucket": "b", "Key.$": "$.key"},
    },
    "ItemProcessor": PROCESSOR,
    "End": True,
}


class World:
    """What states do: each invocation gets the next answer, the last one again and again. An error's name is raised."""

    def __init__(self, *answers: Any, lines: Sequence[Any] = ()) -> None:
        self.answers = list(answers)
        self.lines = lines
        self.payloads: list[Any] = []
        self.pauses: list[float] = []
        self.failures: list[str] = []
        self.at_once, self.most_at_once = 0, 0

    async def invoke(self, function: str, payload: Any, timeout: float | None) -> Any:
        assert function == FUNCTION
        self.payloads.append(payload)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(0)
        self.at_once -= 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if callable(answer):
            answer = answer(payload)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def read_lines(self, bucket: str, key: str) -> Sequence[Any]:
        assert (bucket, key) == ("b", "k")
        return self.lines

    def check_child(self) -> None: ...

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)

    def entered(self, execution: str, state: str) -> None: ...

    def failed(self, execution: str, state: str, error: StateError, retried_in: float | None) -> None:
        self.failures.append(error.error)


def error(name: str) -> StateError:
    return StateError(name, "why")


async def run(world: World, given: Any, first: Mapping[str, Any], **more: Any) -> Any:
    machine = parse(json.dumps({"StartAt": "First", "States": {"First": first, **more}}))
    execution = {"Id": f"{MACHINE.replace('stateMachine', 'execution')}:one", "Name": "one", "Input": given, "StartTime": "now"}
    return await Execution(machine, world, {"Execution": execution, "StateMachine": {"Id": MACHINE, "Name": "batches"}}).run()


def task(**fields: Any) -> dict[str, Any]:
    return {"Type": "Task", "Resource": FUNCTION, "End": True, **fields}


INTEGRATION = "arn:aws:states:::lambda:invoke"
DATA: dict[str, tuple[dict[str, Any], Any, Any, Any]] = {
    "all as it is": (task(), {"a": 1}, {"a": 1}, {"answer": [1, 2]}),
    "a part of the input": (task(InputPath="$.a[1]"), {"a": [1, {"b": 2}]}, {"b": 2}, {"answer": [1, 2]}),
    "nothing of the input": (task(InputPath=None), {"a": 1}, {}, {"answer": [1, 2]}),
    "parameters": (
        task(Parameters={"x.$": "$.a", "y": [{"z.$": "$$.Execution.Name"}], "id.$": "$$.StateMachine.Name"}),
        {"a": 1},
        {"x": 1, "y": [{"z": "one"}], "id": "batches"},
        {"answer": [1, 2]},
    ),
    "the result in a field": (task(ResultPath="$.b.c"), {"a": 1}, {"a": 1}, {"a": 1, "b": {"c": {"answer": [1, 2]}}}),
    "no result": (task(ResultPath=None), {"a": 1}, {"a": 1}, {"a": 1}),
    "a part of the result": (task(ResultSelector={"n.$": "$.answer[1]"}, ResultPath="$.r", OutputPath="$.r"), {}, {}, {"n": 2}),
    "the integration": (
        task(Resource=INTEGRATION, Parameters={"FunctionName": FUNCTION, "Payload.$": "$.a"}, OutputPath="$.Payload"),
        {"a": {"b": 1}},
        {"b": 1},
        {"answer": [1, 2]},
    ),
}


@pytest.mark.parametrize(("state", "given", "payload", "output"), DATA.values(), ids=DATA)
async def test_the_data_of_a_task(state: Mapping[str, Any], given: Any, payload: Any, output: Any) -> None:
    world = World({"answer": [1, 2]})
    assert await run(world, given, state) == output
    assert world.payloads == [payload]


RULES: dict[str, tuple[dict[str, Any], Any, bool]] = {
    "a text": ({"Variable": "$.a", "StringEquals": "x"}, {"a": "x"}, True),
    "a number is no text": ({"Variable": "$.a", "StringEquals": "1"}, {"a": 1}, False),
    "a number": ({"Variable": "$.a", "NumericGreaterThanEquals": 2}, {"a": 2}, True),
    "a truth is no number": ({"Variable": "$.a", "NumericEquals": 1}, {"a": True}, False),
    "a truth": ({"Variable": "$.a", "BooleanEquals": False}, {"a": False}, True),
    "a path": ({"Variable": "$.a", "NumericLessThanPath": "$.b"}, {"a": 1, "b": 2}, True),
    "a time": ({"Variable": "$.a", "TimestampLessThan": "2026-01-01T00:00:00+01:00"}, {"a": "2025-12-31T23:30:00Z"}, False),
    "a pattern": ({"Variable": "$.a", "StringMatches": "a*.js\\*n"}, {"a": "abc.js*n"}, True),
    "present": ({"Variable": "$.a.b", "IsPresent": True}, {"a": 1}, False),
    "null": ({"Variable": "$.a", "IsNull": True}, {"a": None}, True),
    "both": ({"And": [{"Variable": "$.a", "IsNumeric": True}, {"Variable": "$.a", "NumericLessThan": 1}]}, {"a": 1}, False),
    "either": ({"Or": [{"Variable": "$.a", "IsString": True}, {"Not": {"Variable": "$.a", "IsNull": True}}]}, {"a": 1}, True),
}


@pytest.mark.parametrize(("rule", "given", "met"), RULES.values(), ids=RULES)
async def test_a_choice(rule: Mapping[str, Any], given: Any, met: bool) -> None:
    choice = {"Type": "Choice", "Choices": [{**rule, "Next": "Yes"}], "Default": "No"}
    states = {name: {"Type": "Pass", "Result": name, "End": True} for name in ("Yes", "No")}
    assert await run(World(), given, choice, **states) == ("Yes" if met else "No")


async def test_a_choice_that_nothing_meets_fails() -> None:
    choice = {"Type": "Choice", "Choices": [{"Variable": "$.a", "IsNull": True, "Next": "Done"}]}
    with pytest.raises(StateError, match=r"States\.NoChoiceMatched"):
        await run(World(), {"a": 1}, choice, Done=DONE)


async def test_waits() -> None:
    world = World()
    first = {"Type": "Wait", "SecondsPath": "$.s", "Next": "Past"}
    past = {"Type": "Wait", "Timestamp": "2020-01-01T00:00:00Z", "End": True}
    assert await run(world, {"s": 7}, first, Past=past) == {"s": 7}
    assert world.pauses == [7, 0]


RETRIES: dict[str, tuple[list[dict[str, Any]], list[str], list[float]]] = {
    "by default": ([{"ErrorEquals": ["E"]}], ["E"] * 3, [1, 2, 4]),
    "as often as it says": ([{"ErrorEquals": ["E"], "MaxAttempts": 1, "IntervalSeconds": 5}], ["E"], [5]),
    "up to a longest pause": (
        [{"ErrorEquals": ["E"], "IntervalSeconds": 4, "BackoffRate": 3, "MaxDelaySeconds": 10, "MaxAttempts": 4}],
        ["E"] * 4,
        [4, 10, 10, 10],
    ),
    "each error by its own retrier": (
        [{"ErrorEquals": ["E"]}, {"ErrorEquals": ["States.TaskFailed"], "IntervalSeconds": 9, "BackoffRate": 1}],
        ["E", "F", "E", "G"],
        [1, 9, 2, 9],
    ),
    "all": ([{"ErrorEquals": ["States.ALL"]}], ["States.Timeout"], [1]),
}


@pytest.mark.parametrize(("retriers", "errors", "pauses"), RETRIES.values(), ids=RETRIES)
async def test_retries(retriers: list[dict[str, Any]], errors: list[str], pauses: list[float]) -> None:
    world = World(*map(error, errors), "done")
    assert await run(world, {}, task(Retry=retriers)) == "done"
    assert (world.pauses, world.failures) == (pauses, errors)


NOT_RETRIED: dict[str, tuple[list[str], str, int]] = {
    "as often as it was": (["E"], "E", 4),
    "another error": (["E"], "F", 1),
    "a timeout is no failed task": (["States.TaskFailed"], "States.Timeout", 1),
    "what nothing takes": (["States.ALL"], "States.DataLimitExceeded", 1),
    "an error at runtime": (["States.ALL"], "States.Runtime", 1),
}


@pytest.mark.parametrize(("names", "raised", "tries"), NOT_RETRIED.values(), ids=NOT_RETRIED)
async def test_an_error_that_no_retrier_takes_fails_the_execution(names: list[str], raised: str, tries: int) -> None:
    world = World(error(raised))
    with pytest.raises(StateError, match=raised):
        await run(world, {}, task(Retry=[{"ErrorEquals": names}]))
    assert len(world.payloads) == tries


async def test_jitter_is_between_nothing_and_the_pause() -> None:
    world = World(*[error("E")] * 20, "done")
    retrier = {"ErrorEquals": ["E"], "IntervalSeconds": 10, "BackoffRate": 1, "MaxAttempts": 20, "JitterStrategy": "FULL"}
    await run(world, {}, task(Retry=[retrier]))
    assert len(set(world.pauses)) > 10
    assert all(0 <= pause <= 10 for pause in world.pauses)


async def test_a_retrier_of_a_thousand_tries_keeps_its_longest_pause() -> None:
    world = World(*[error("E")] * 1_100, "done")
    retrier = {"ErrorEquals": ["E"], "MaxAttempts": 2_000, "MaxDelaySeconds": 900}
    assert await run(world, {}, task(Retry=[retrier])) == "done"
    assert world.pauses[-1] == 900


@pytest.mark.parametrize(
    ("path", "output"),
    {"$": {"Error": "E", "Cause": "why"}, "$.e": {"a": 1, "e": {"Error": "E", "Cause": "why"}}, None: {"a": 1}}.items(),
)
async def test_a_catcher(path: str | None, output: Any) -> None:
    catch = [{"ErrorEquals": ["F"], "Next": "Bad"}, {"ErrorEquals": ["States.ALL"], "ResultPath": path, "Next": "Done"}]
    assert await run(World(error("E")), {"a": 1}, task(Catch=catch), Done=DONE, Bad={"Type": "Fail"}) == output


async def test_a_path_to_nothing_is_taken_by_no_catcher() -> None:
    catch = [{"ErrorEquals": ["States.ALL"], "Next": "Done"}]
    with pytest.raises(StateError, match=r"States\.Runtime: The JSONPath '\$\.b' could not be found"):
        await run(World("x"), {"a": 1}, task(InputPath="$.b", Catch=catch), Done=DONE)


async def test_a_failure_has_its_error_and_its_cause() -> None:
    with pytest.raises(StateError) as raised:
        await run(World(), {}, {"Type": "Fail", "Error": "Mine", "Cause": "so"})
    assert (raised.value.error, raised.value.cause) == ("Mine", "so")


TOO_LARGE: dict[str, tuple[Any, Any]] = {
    "an answer": ({}, "x" * 256 * 1024),
    "parameters": ({"a": "x" * 200_000}, "y"),
}


@pytest.mark.parametrize(("given", "answer"), TOO_LARGE.values(), ids=TOO_LARGE)
async def test_data_is_at_most_256_kib(given: Any, answer: Any) -> None:
    state = task(Parameters={"one.$": "$", "two.$": "$"}, Catch=[{"ErrorEquals": ["States.ALL"], "Next": "Done"}])
    with pytest.raises(StateError, match=r"States\.DataLimitExceeded"):
        await run(World(answer), given, state, Done=DONE)


async def test_a_map_runs_an_execution_for_each_line() -> None:
    def infer(each: dict[str, Any]) -> dict[str, Any]:
        return {"twice": 2 * each["line"]["n"], **each}

    world = World(infer, lines=[{"n": 1}, {"n": 2}, {"n": 3}])
    selector = {"line.$": "$$.Map.Item.Value", "index.$": "$$.Map.Item.Index", "of.$": "$.key"}
    output = await run(world, {"key": "k"}, MAP | {"ItemSelector": selector, "MaxConcurrency": 1})
    assert [(each["twice"], each["index"], each["of"]) for each in output] == [(2, 0, "k"), (4, 1, "k"), (6, 2, "k")]
    assert world.most_at_once == 1


async def test_a_child_is_an_execution_of_its_own() -> None:
    infer = PROCESSOR["States"]["Infer"] | {"Parameters": {"execution.$": "$$.Execution.Id", "input.$": "$$.Execution.Input"}}
    world = World("ok", lines=["line"])
    await run(world, {"key": "k"}, MAP | {"ItemProcessor": PROCESSOR | {"States": {"Infer": infer}}})
    assert world.payloads[0]["input"] == "line"
    assert not world.payloads[0]["execution"].endswith(":one")


async def test_a_map_of_many_lines_is_bounded() -> None:
    world = World("ok", lines=[0] * 3_000)
    assert await run(world, {"key": "k"}, MAP | {"MaxConcurrency": 5}) == ["ok"] * 3_000
    assert world.most_at_once == 5


async def test_a_map_of_nothing_is_empty() -> None:
    assert await run(World(), {"key": "k"}, MAP) == []


THRESHOLDS: dict[str, tuple[dict[str, Any], int, bool]] = {
    "nothing is tolerated by default": ({}, 1, False),
    "all": ({"ToleratedFailurePercentage": 100}, 4, True),
    "as much as it says": ({"ToleratedFailurePercentage": 25}, 1, True),
    "more than it says": ({"ToleratedFailurePercentage": 25}, 2, False),
    "as many as it says": ({"ToleratedFailureCount": 2}, 2, True),
    "more of either": ({"ToleratedFailureCount": 1, "ToleratedFailurePercentage": 100}, 2, False),
}


@pytest.mark.parametrize(("fields", "failures", "succeeds"), THRESHOLDS.values(), ids=THRESHOLDS)
async def test_how_many_items_may_fail(fields: Mapping[str, Any], failures: int, succeeds: bool) -> None:
    def infer(each: int) -> Any:
        return error("E") if each < failures else each

    world = World(infer, lines=[0, 1, 2, 3])
    if succeeds:
        output = await run(world, {"key": "k"}, {**MAP, **fields})
        failed = [(each["Status"], each["Error"], each["Input"]) for each in output[:failures]]
        assert failed == [("FAILED", "E", str(index)) for index in range(failures)]
        assert output[failures:] == [0, 1, 2, 3][failures:]
    else:
        with pytest.raises(StateError, match=r"States\.ExceedToleratedFailureThreshold"):
            await run(world, {"key": "k"}, {**MAP, **fields})


async def test_the_output_of_a_map_is_at_most_256_kib() -> None:
    """Also where the result is not taken: without a ResultWriter, the array is the state's result first."""
    world = World("x" * 1_000, lines=[0] * 300)
    with pytest.raises(StateError, match=r"States\.DataLimitExceeded"):
        await run(world, {"key": "k"}, MAP | {"ResultPath": None})
