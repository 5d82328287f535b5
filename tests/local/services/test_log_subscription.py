"""Subscription filters: which lines of a log are handed over, each once, and what is refused."""

import asyncio
import base64
import gzip
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pulumi_llm_local.aws_types.lambda_ import FUNCTION, PERMISSION
from pulumi_llm_local.program.graph import Graph, Resource
from pulumi_llm_local.services import log_subscription
from pulumi_llm_local.services.local_run import LocalError
from pulumi_llm_local.services.log_subscription import FILTER, LogSubscription, read_pattern

REGION = "eu-central-1"
ARN = f"arn:aws:lambda:{REGION}:123456789012:function:"
STATE = {"name": "filter", "logGroup": "logs", "filterPattern": '{ ($.message = "chat") || ($.message = "x") }'}
PERMITTED = {
    "function": "writer",
    "qualifier": "live",
    "action": "lambda:InvokeFunction",
    "principal": "logs.amazonaws.com",
    "sourceArn": f"arn:aws:logs:{REGION}:123456789012:log-group:logs:*",
}


def resource(type_: str, name: str, state: dict[str, Any]) -> Resource:
    return Resource(name, type_, name, name, state, state)


def subscription(logs: Path, accepted: Any, permission: dict[str, Any] | None = None, **state: Any) -> LogSubscription:
    resources = (
        resource(FUNCTION, "chat-function", {"name": "chat", "loggingConfig": {"logGroup": "logs"}}),
        resource(FUNCTION, "other", {"name": "other"}),
        resource(PERMISSION, "permission", {**PERMITTED, **(permission or {})}),
    )
    functions: Any = {"writer": SimpleNamespace(name="writer")}
    made = resource(FILTER, "filter", {**STATE, "destinationArn": f"{ARN}writer:live", **state})
    return LogSubscription(made, Graph(REGION, resources, {}, ()), functions, logs, accepted)


async def test_lines_that_fit_are_handed_over_once_and_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_subscription, "_POLL_SECONDS", 0.001)
    monkeypatch.setattr(log_subscription, "_MOST_LINES", 2)
    log, batches = tmp_path / "chat-function.log", asyncio.Queue[Any]()
    log.write_text('{"message": "chat", "n": "of a run before"}\n')

    def accept(function: Any, qualifier: str | None, event: Any) -> None:
        assert (function.name, qualifier) == ("writer", "live")
        batches.put_nowait(json.loads(gzip.decompress(base64.b64decode(event["awslogs"]["data"]))))

    task = asyncio.ensure_future(subscription(tmp_path, accept).run())
    with log.open("a") as file:
        file.write('{"message": "chat", "n": 1}\nno JSON\n{"message": "refused"}\n{"message": "x", "n": 2}\n')
        file.write('{"message": "chat", "n": 3}\n{"message": "chat",')
        file.flush()
        found = [await batches.get(), await batches.get()]
        file.write(' "n": 4}\n')
    found.append(await batches.get())
    task.cancel()
    assert batches.empty()
    assert {(each["messageType"], each["logGroup"], each["owner"]) for each in found} == {
        ("DATA_MESSAGE", "logs", "123456789012")
    }
    events = [event for each in found for event in each["logEvents"]]
    assert [json.loads(event["message"])["n"] for event in events] == [1, 2, 3, 4]
    assert len({event["id"] for event in events}) == 4


# What is not as it should be -> what is said of it.
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "another log group": ({"logGroup": "theirs", "permission": {}}, "no function has its log there"),
    "a pattern that is not played": ({"filterPattern": "ERROR"}, "the pattern ERROR is not played"),
    "a stream": ({"destinationArn": "arn:aws:kinesis:eu-central-1:123456789012:stream/s"}, "only a function"),
    "a role": ({"roleArn": "arn:aws:iam::123456789012:role/r"}, "roleArn is not played"),
    "no permission": ({"permission": {"principal": "events.amazonaws.com"}}, "Could not execute the lambda function"),
    "a permission of another log group": ({"permission": {"sourceArn": "arn:aws:logs:::x"}}, "Could not execute"),
    "a permission of another alias": ({"permission": {"qualifier": None}}, "Could not execute"),
}


@pytest.mark.parametrize(("state", "text"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused(tmp_path: Path, state: dict[str, Any], text: str) -> None:
    with pytest.raises(LocalError, match=text):
        subscription(tmp_path, None, **state)


def test_patterns() -> None:
    everything, nothing = read_pattern(""), read_pattern('{ $.a = "b*" }')
    assert everything is not None and everything("x") and nothing is None
