"""The state machine that works a batch off, in the Amazon States Language.

    Prepare ─▶ Route ─▶ Answer: a map over the chunks of the file      ─▶ Finish
       │         ├────────────────────────────────────────────────────────▲  │
       │         └─▶ Ended                                                   │
       └──────────────────────── what fails for good ─▶ GiveUp ─▶ Failed ◀───┘

Its data are ids, places and keys. What is asked and answered passes through the bucket alone.
https://states-language.net/spec.html
"""

from typing import Any, Final

from llm_gateway.tables import BATCH_EXECUTION_SECONDS

# Of each call of the function. Lambda's longest, and how long it is waited for.
FUNCTION_SECONDS: Final = 900
_CALL_SECONDS = FUNCTION_SECONDS + 60

_Retrier = dict[str, Any]


def _retry(errors: list[str], *, first: int, rate: float, longest: int, attempts: int) -> _Retrier:
    """Retry with pauses that grow, each of a random length up to that, so that chunks which failed together come apart."""
    pauses = {"IntervalSeconds": first, "BackoffRate": rate, "MaxDelaySeconds": longest, "JitterStrategy": "FULL"}
    return {"ErrorEquals": errors, **pauses, "MaxAttempts": attempts}


# What Lambda itself fails by, for an hour or so.
# https://docs.aws.amazon.com/step-functions/latest/dg/sfn-best-practices.html#bp-lambda-serviceexception
_OF_LAMBDA = _retry(
    [f"Lambda.{name}" for name in ("ServiceException", "AWSLambdaException", "SdkClientException")],
    first=2,
    rate=2,
    longest=300,
    attempts=40,
)
# The executions that are reserved for batches are used up, by others: as long as the batch lasts.
_THROTTLED = _retry(["Lambda.TooManyRequestsException"], first=2, rate=2, longest=120, attempts=10_000)
# Something is used up, switched off or not there: as long as the batch lasts, for the function ends it then. That a
# batch is cancelled is seen after such a pause.
_POSTPONED = _retry(["Postponed"], first=10, rate=2, longest=300, attempts=10_000)


def _failing(attempts: int) -> _Retrier:
    return _retry(["States.ALL"], first=10, rate=3, longest=900, attempts=attempts)


def definition(partition: str, function_arn: str, *, maximum_concurrency: int, max_tries: int) -> dict[str, Any]:
    """Return the definition.

    Args:
        partition: That of AWS, such as aws.
        function_arn: The ARN, with its alias, of the function that does the steps.
        maximum_concurrency: How many chunks are answered at once.
        max_tries: How often what fails is tried.
    """

    def call(payload: dict[str, Any], retries: list[_Retrier], **more: Any) -> dict[str, Any]:
        return {
            "Type": "Task",
            "Resource": f"arn:{partition}:states:::lambda:invoke",
            "Parameters": {"FunctionName": function_arn, **payload},
            "OutputPath": "$.Payload",
            "TimeoutSeconds": _CALL_SECONDS,
            "Retry": retries,
            **more,
        }

    def step(name: str, **more: Any) -> dict[str, Any]:
        payload = {"step": name, "batch.$": "$$.Execution.Input.detail.job", "execution.$": "$$.Execution.Id"}
        return call({"Payload": payload}, [_THROTTLED, _OF_LAMBDA, _failing(5)], **more)

    def chunk(last: dict[str, Any], failing: int, then: str) -> dict[str, Any]:
        payload = {"step": "infer", "chunk.$": "$", **last}
        retries = [_POSTPONED, _THROTTLED, _OF_LAMBDA, _failing(failing)]
        return call({"Payload": payload}, retries, Catch=_catch(then), End=True)

    answer = {
        "Type": "Map",
        "ItemReader": {
            "Resource": f"arn:{partition}:states:::s3:getObject",
            "ReaderConfig": {"InputType": "JSONL"},
            "Parameters": {"Bucket.$": "$.bucket", "Key.$": "$.key"},
        },
        "ItemProcessor": {
            "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
            "StartAt": "Infer",
            "States": {
                "Infer": chunk({}, max_tries - 2, "LastTry"),
                "LastTry": chunk({"last": True}, 0, "Left"),
                # Its lines have no answers, which Finish tells. The result of a chunk that fails would be as long as its input
                # and its error, and those of all chunks have to fit into 256 KiB.
                "Left": {"Type": "Pass", "Result": 0, "End": True},
            },
        },
        "MaxConcurrency": maximum_concurrency,
        "ToleratedFailurePercentage": 100,
        "ResultPath": None,
        "Catch": _catch("GiveUp"),
        "Next": "Finish",
    }
    routes = {"infer": "Answer", "finish": "Finish"}
    return {
        "StartAt": "Prepare",
        "TimeoutSeconds": BATCH_EXECUTION_SECONDS,
        "States": {
            "Prepare": step("prepare", Catch=_catch("GiveUp"), Next="Route"),
            "Route": {
                "Type": "Choice",
                "Choices": [{"Variable": "$.route", "StringEquals": name, "Next": then} for name, then in routes.items()],
                "Default": "Ended",
            },
            "Answer": answer,
            "Finish": step("finish", Catch=_catch("GiveUp"), End=True),
            "Ended": {"Type": "Succeed"},
            "GiveUp": step("fail", Next="Failed"),
            "Failed": {"Type": "Fail", "Error": "BatchFailed", "Cause": "A step has failed again and again; see its logs."},
        },
    }


def _catch(then: str) -> list[dict[str, Any]]:
    return [{"ErrorEquals": ["States.ALL"], "ResultPath": None, "Next": then}]
