"""What a state machine's definition may not be."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from pulumi_llm_local.services.step_functions.definition import parse
from pulumi_llm_local.services.step_functions.errors import DefinitionError

FUNCTION = "arn:aws:lambda:us-east-1:123456789012:function:batch:live"
INVOKE = "arn:aws:states:::lambda:invoke"
DONE: dict[str, Any] = {"Type": "Succeed"}
TASK: dict[str, Any] = {"Type": "Task", "Resource": FUNCTION, "End": True}
READER: dict[str, Any] = {
    "Resource": "arn:aws:states:::s3:getObject",
    "ReaderConfig": {"InputType": "JSONL"},
    "Parameters": {"Bucket.$": "$.bucket", "Key.$": "$.key"},
}
PROCESSOR: dict[str, Any] = {
    "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
    "StartAt": "Infer",
    "States": {"Infer": TASK},
}
MAP: dict[str, Any] = {"Type": "Map", "ItemReader": READER, "ItemProcessor": PROCESSOR, "End": True}


def machine(state: Mapping[str, Any], **changes: Any) -> str:
    return json.dumps({"StartAt": "First", "States": {"First": state, **changes}})


TAKEN: dict[str, str] = {
    "a function": machine(TASK),
    "an integration": machine(
        {"Type": "Task", "Resource": INVOKE, "Parameters": {"FunctionName": FUNCTION, "Payload.$": "$"}, "End": True}
    ),
    "a map": machine(MAP | {"MaxConcurrency": 5, "ToleratedFailurePercentage": 100, "ResultPath": None, "Label": "Lines"}),
    "a choice": machine(
        {
            "Type": "Choice",
            "Choices": [
                {
                    "And": [{"Variable": "$.a", "IsPresent": True}, {"Not": {"Variable": "$.a", "NumericEquals": 1}}],
                    "Next": "Done",
                }
            ],
            "Default": "Done",
        },
        Done=DONE,
    ),
}


@pytest.mark.parametrize("text", TAKEN.values(), ids=TAKEN)
def test_what_is_played(text: str) -> None:
    assert parse(text) == json.loads(text)


REFUSED: dict[str, tuple[str, str]] = {
    "no JSON": ("{", "INVALID_JSON_DESCRIPTION"),
    "no object": ("[]", "the definition is an object"),
    "JSONata": (
        json.dumps({"QueryLanguage": "JSONata", "StartAt": "First", "States": {"First": TASK}}),
        "JSONata is not played",
    ),
    "a field that is unknown": (machine(TASK | {"Retries": 1}), "the state First: Retries of a Task state is unknown"),
    "a type that is not played": (machine({"Type": "Parallel", "Branches": [], "End": True}), "the type Parallel"),
    "a target that is missing": (machine({"Type": "Pass", "Next": "Nowhere"}), "MISSING_TRANSITION_TARGET: .* Nowhere"),
    "a catcher's target": (machine(TASK | {"Catch": [{"ErrorEquals": ["States.ALL"], "Next": "Nowhere"}]}), "Nowhere"),
    "a state that is not reached": (machine(TASK, Other=TASK), "State Other is not reachable"),
    "a name twice": (machine(MAP | {"End": False, "Next": "Infer"}, Infer=DONE), "DUPLICATE_STATE_NAME: Infer"),
    "a long name": (json.dumps({"StartAt": "x" * 81, "States": {"x" * 81: TASK}}), "at most 80 characters"),
    "neither an end nor a next": (machine({"Type": "Pass"}), "either a Next state or"),
    "an end and a next": (machine(TASK | {"Next": "First"}), "either a Next state or"),
    "another service": (machine(TASK | {"Resource": "arn:aws:states:::sqs:sendMessage"}), "only a Lambda function is"),
    "an intrinsic function": (machine(TASK | {"Parameters": {"a.$": "States.UUID()"}}), "States.UUID"),
    "a path with a wildcard": (machine(TASK | {"InputPath": "$.a[*]"}), "is none, or is not played"),
    "a result path with an index": (machine(TASK | {"ResultPath": "$.a[0]"}), "result path"),
    "a function by its name": (
        machine({"Type": "Task", "Resource": INVOKE, "Parameters": {"FunctionName": "batch"}, "End": True}),
        "by an ARN",
    ),
    "an asynchronous invocation": (
        machine(
            {
                "Type": "Task",
                "Resource": INVOKE,
                "Parameters": {"FunctionName": FUNCTION, "InvocationType": "Event"},
                "End": True,
            }
        ),
        "InvocationType of lambda:invoke",
    ),
    "a timeout of nothing": (machine(TASK | {"TimeoutSeconds": 0}), "TimeoutSeconds"),
    "a wait of two kinds": (machine({"Type": "Wait", "Seconds": 1, "SecondsPath": "$.s", "End": True}), "one of"),
    "a choice of nothing": (machine({"Type": "Choice", "Choices": []}), "has Choices"),
    "a comparison that is unknown": (
        machine({"Type": "Choice", "Choices": [{"Variable": "$.a", "BooleanLessThan": 1, "Next": "Done"}]}, Done=DONE),
        "BooleanLessThan is unknown",
    ),
    "a rule without a next": (
        machine({"Type": "Choice", "Choices": [{"Variable": "$.a", "IsNull": True}], "Default": "Done"}, Done=DONE),
        "names the Next state",
    ),
    "a map that is inline": (
        machine(MAP | {"ItemProcessor": PROCESSOR | {"ProcessorConfig": {"Mode": "INLINE"}}}),
        "in the mode DISTRIBUTED",
    ),
    "a reader of CSV": (machine(MAP | {"ItemReader": READER | {"ReaderConfig": {"InputType": "CSV"}}}), "JSONL alone"),
    "all errors but not last": (
        machine(TASK | {"Retry": [{"ErrorEquals": ["States.ALL"]}, {"ErrorEquals": ["Other"]}]}),
        "is the last one",
    ),
    "all errors and another": (machine(TASK | {"Retry": [{"ErrorEquals": ["States.ALL", "Other"]}]}), "alone"),
    "a delay below the interval": (
        machine(TASK | {"Retry": [{"ErrorEquals": ["X"], "IntervalSeconds": 5, "MaxDelaySeconds": 5}]}),
        "MaxDelaySeconds",
    ),
    "a rate below one": (machine(TASK | {"Retry": [{"ErrorEquals": ["X"], "BackoffRate": 0.5}]}), "BackoffRate"),
    "a jitter that is unknown": (
        machine(TASK | {"Retry": [{"ErrorEquals": ["X"], "JitterStrategy": "HALF"}]}),
        "JitterStrategy",
    ),
}


@pytest.mark.parametrize(("text", "problem"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused(text: str, problem: str) -> None:
    with pytest.raises(DefinitionError, match=problem):
        parse(text)
