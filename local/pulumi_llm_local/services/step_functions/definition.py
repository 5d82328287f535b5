"""A state machine's definition, checked: what AWS refuses, and what is not played here.

https://states-language.net/spec.html
https://docs.aws.amazon.com/step-functions/latest/dg/amazon-states-language-state-machine-structure.html

Played: Task, Pass, Choice, Wait, Succeed, Fail and the Distributed Map with Standard executions, in JSONPath.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, cast

from pulumi_llm_local.services.step_functions import choice, paths
from pulumi_llm_local.services.step_functions.errors import ALL, DefinitionError

LAMBDA_FUNCTION: Final = re.compile(r"arn:[\w-]+:lambda:[\w-]+:\d+:function:[\w-]+(:[\w$-]+)?")
LAMBDA_INVOKE: Final = re.compile(r"arn:[\w-]+:states:::lambda:invoke")
GET_OBJECT: Final = re.compile(r"arn:[\w-]+:states:::s3:getObject")
_LONGEST_NAME = 80
_MACHINE: Final = frozenset({"Comment", "QueryLanguage", "StartAt", "States", "TimeoutSeconds", "Version"})
_STATE: Final = frozenset({"Type", "Comment", "QueryLanguage"})
_FILTERED: Final = _STATE | {"InputPath", "OutputPath"}
_FLOW: Final = _FILTERED | {"Next", "End"}
_TRIED: Final = _FLOW | {"ResultSelector", "ResultPath", "Retry", "Catch"}
_FIELDS: Final[Mapping[str, frozenset[str]]] = {
    "Task": _TRIED | {"Resource", "Parameters", "TimeoutSeconds"},
    "Map": _TRIED
    | {
        *("ItemReader", "ItemsPath", "ItemSelector", "ItemProcessor", "Label", "MaxConcurrency"),
        *("ToleratedFailureCount", "ToleratedFailurePercentage"),
    },
    "Pass": _FLOW | {"Parameters", "Result", "ResultPath"},
    "Wait": _FLOW | {"Seconds", "SecondsPath", "Timestamp", "TimestampPath"},
    "Choice": _FILTERED | {"Choices", "Default"},
    "Succeed": _FILTERED,
    "Fail": _STATE | {"Error", "Cause"},
}
_RETRIER: Final = frozenset(
    {"Comment", "ErrorEquals", "IntervalSeconds", "MaxAttempts", "BackoffRate", "MaxDelaySeconds", "JitterStrategy"}
)
_CATCHER: Final = frozenset({"Comment", "ErrorEquals", "ResultPath", "Next"})
_WAITS: Final = ("Seconds", "SecondsPath", "Timestamp", "TimestampPath")


def parse(text: str) -> Mapping[str, Any]:
    """Return a state machine's definition. Raises `DefinitionError`."""
    try:
        machine = json.loads(text)
    except ValueError as error:
        raise DefinitionError(f"INVALID_JSON_DESCRIPTION: {error}") from None
    _check_machine(_object(machine, "the definition"), _MACHINE, set())
    return machine


def _check_machine(machine: Mapping[str, Any], fields: frozenset[str], names: set[str]) -> None:
    """Check the definition or an item processor. `names` are those of all states, which differ within a definition."""
    _check_fields(machine, fields, "the state machine")
    states = _object(machine.get("States"), "States")
    for name, given in states.items():
        if name in names:
            raise DefinitionError(f"DUPLICATE_STATE_NAME: {name}")
        if len(name) > _LONGEST_NAME:
            raise DefinitionError(f"a state's name has at most {_LONGEST_NAME} characters, not {len(name)}: {name}")
        names.add(name)
        try:
            _check_state(_object(given, "a state"), names)
        except DefinitionError as error:
            raise DefinitionError(f"the state {name}: {error}") from None
    reached, queue = set[str](), [str(machine.get("StartAt"))]
    while queue:
        name = queue.pop()
        if name not in states:
            raise DefinitionError(f"MISSING_TRANSITION_TARGET: Missing 'Next' target: {name}")
        if name not in reached:
            reached.add(name)
            queue += _targets(states[name])
    if unreached := sorted(set(states) - reached):
        raise DefinitionError(f"MISSING_TRANSITION_TARGET: State {unreached[0]} is not reachable")


def _targets(state: Mapping[str, Any]) -> list[str]:
    """The states that may follow one."""
    named = [state.get("Next"), state.get("Default")]
    return [
        *(str(name) for name in named if name is not None),
        *(str(each["Next"]) for each in (*state.get("Choices", ()), *state.get("Catch", ()))),
    ]


def _check_state(state: Mapping[str, Any], names: set[str]) -> None:
    kind = str(state.get("Type"))
    if kind not in _FIELDS:
        raise DefinitionError(f"the type {kind} is unknown, or not played")
    _check_fields(state, _FIELDS[kind], f"a {kind} state")
    if "Next" in _FIELDS[kind] and ("Next" in state) == (state.get("End") is True):
        raise DefinitionError('it has either a Next state or "End": true')
    for name in ("InputPath", "OutputPath", "ItemsPath"):
        if state.get(name) is not None:
            paths.check_path(state[name])
    paths.check_result_path(state.get("ResultPath"))
    for name in ("Parameters", "ResultSelector", "ItemSelector"):
        paths.check_template(state.get(name))
    _check_each(state.get("Retry", ()), _RETRIER, "a retrier")
    _check_each(state.get("Catch", ()), _CATCHER, "a catcher")
    for retrier in state.get("Retry", ()):
        _check_retrier(retrier)
    if any("Next" not in each for each in state.get("Catch", ())):
        raise DefinitionError("a catcher names the Next state")
    if check := _CHECKS.get(kind):
        check(state)
    if kind == "Map":
        _check_map(state, names)


def _check_each(given: Sequence[Any], fields: frozenset[str], what: str) -> None:
    """Check the retriers or the catchers of a state."""
    for index, each in enumerate(given):
        _check_fields(_object(each, what), fields, what)
        errors = each.get("ErrorEquals")
        if not isinstance(errors, list) or not errors:
            raise DefinitionError(f"{what} names errors in ErrorEquals")
        if ALL in errors and (len(cast("list[Any]", errors)) > 1 or index + 1 < len(given)):
            raise DefinitionError(f"{what} with {ALL} names it alone, and is the last one")
        paths.check_result_path(each.get("ResultPath"))


def _check_retrier(retrier: Mapping[str, Any]) -> None:
    """https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html#error-handling-retrying-after-an-error"""
    interval, delay = retrier.get("IntervalSeconds", 1), retrier.get("MaxDelaySeconds")
    if not _is_whole(interval, 1) or not _is_whole(retrier.get("MaxAttempts", 3), 0):
        raise DefinitionError("IntervalSeconds is a whole number above 0, MaxAttempts one from 0")
    if delay is not None and not (_is_whole(delay, interval + 1) and delay < 31_622_400):
        raise DefinitionError("MaxDelaySeconds is above IntervalSeconds and below 31622400")
    if retrier.get("BackoffRate", 2.0) < 1:
        raise DefinitionError("BackoffRate is at least 1")
    if retrier.get("JitterStrategy", "NONE") not in ("NONE", "FULL"):
        raise DefinitionError("JitterStrategy is NONE or FULL")


def _check_task(state: Mapping[str, Any]) -> None:
    resource = str(state.get("Resource"))
    timeout = state.get("TimeoutSeconds", 1)
    if not _is_whole(timeout, 1) or timeout > 99_999_999:
        raise DefinitionError(f"TimeoutSeconds is from 1 to 99999999, not {timeout}")
    if LAMBDA_INVOKE.fullmatch(resource):
        given = set(_object(state.get("Parameters"), "Parameters"))
        if unknown := sorted(given - {"FunctionName", "Payload", "Payload.$"}):
            raise DefinitionError(f"{unknown[0]} of lambda:invoke is unknown, or not played")
        if not LAMBDA_FUNCTION.fullmatch(str(state["Parameters"].get("FunctionName"))):
            raise DefinitionError("lambda:invoke names its FunctionName by an ARN; others are not played")
    elif not LAMBDA_FUNCTION.fullmatch(resource):
        raise DefinitionError(f"the resource {resource} is not played: only a Lambda function is")


def _check_wait(state: Mapping[str, Any]) -> None:
    given = [name for name in _WAITS if name in state]
    if len(given) != 1:
        raise DefinitionError(f"a Wait state has one of {', '.join(_WAITS)}")
    if given[0].endswith("Path"):
        paths.check_path(state[given[0]])


def _check_choice(state: Mapping[str, Any]) -> None:
    rules = state.get("Choices")
    if not isinstance(rules, list) or not rules:
        raise DefinitionError("a Choice state has Choices")
    for rule in cast("list[Any]", rules):
        choice.check_rule(rule)


def _check_map(state: Mapping[str, Any], names: set[str]) -> None:
    processor = _object(state.get("ItemProcessor"), "ItemProcessor")
    configuration = _object(processor.get("ProcessorConfig"), "ProcessorConfig")
    if (configuration.get("Mode"), configuration.get("ExecutionType")) != ("DISTRIBUTED", "STANDARD"):
        raise DefinitionError("only a Map in the mode DISTRIBUTED with executions of the type STANDARD is played")
    _check_machine(processor, frozenset({"Comment", "ProcessorConfig", "StartAt", "States"}), names)
    if not _is_whole(state.get("MaxConcurrency", 0), 0):
        raise DefinitionError("MaxConcurrency is a whole number from 0")
    if not 0 <= state.get("ToleratedFailurePercentage", 0) <= 100:
        raise DefinitionError("ToleratedFailurePercentage is from 0 to 100")
    if "ItemReader" not in state:
        return
    reader = _object(state["ItemReader"], "ItemReader")
    _check_fields(reader, frozenset({"Resource", "ReaderConfig", "Parameters"}), "an item reader")
    if not GET_OBJECT.fullmatch(str(reader.get("Resource"))) or reader.get("ReaderConfig") != {"InputType": "JSONL"}:
        raise DefinitionError("only an item reader of s3:getObject with the input type JSONL alone is played")
    given = {name.removesuffix(".$") for name in _object(reader.get("Parameters"), "Parameters")}
    if given != {"Bucket", "Key"}:
        raise DefinitionError("an item reader names the Bucket and the Key, and nothing else is played")
    paths.check_template(reader["Parameters"])


_CHECKS: Final[Mapping[str, Callable[[Mapping[str, Any]], None]]] = {
    "Task": _check_task,
    "Wait": _check_wait,
    "Choice": _check_choice,
}


def _check_fields(given: Mapping[str, Any], fields: frozenset[str], what: str) -> None:
    if given.get("QueryLanguage", "JSONPath") != "JSONPath":
        raise DefinitionError(f"the query language {given['QueryLanguage']} is not played: only JSONPath is")
    if unknown := sorted(set(given) - fields):
        raise DefinitionError(f"{', '.join(unknown)} of {what} is unknown, or not played")


def _object(value: Any, what: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise DefinitionError(f"{what} is an object, not {json.dumps(value)}")
    return cast("Mapping[str, Any]", value)


def _is_whole(value: Any, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least
