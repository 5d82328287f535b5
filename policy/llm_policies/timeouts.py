"""The rule on what waits or runs without end."""

import json
from collections.abc import Iterator
from typing import Any, Final

from llm_policies.rule import AWS_DOCS, Resource, Rule, Settings
from llm_policies.values import Value

_JOB: Final = "aws:batch/jobDefinition:JobDefinition"
_MACHINE: Final = "aws:sfn/stateMachine:StateMachine"


def _ends(resource: Resource, _: Settings) -> Iterator[str]:
    if resource.type == _JOB:
        properties = _parsed(resource["containerProperties"])
        gpus = any(one["type"].equals("GPU") for one in properties["resourceRequirements"].items())
        if gpus and resource.at("timeout.attemptDurationSeconds").number() <= 0:
            yield "timeout.attemptDurationSeconds is missing: a job that hangs keeps its GPU, and is paid for, without end"
        return
    definition = _parsed(resource["definition"])
    if definition["TimeoutSeconds"].missing:
        for name in _waiting(definition):
            yield (
                f"definition: {name} waits for a token without TimeoutSeconds or HeartbeatSeconds: one that nobody sends back "
                "is waited for a year"
            )


def _waiting(machine: Value) -> Iterator[str]:
    """The names of the states that wait for a token, those within Map and Parallel among them, without a time."""
    for name, state in machine["States"].entries().items():
        times = ("TimeoutSeconds", "TimeoutSecondsPath", "HeartbeatSeconds", "HeartbeatSecondsPath")
        if state["Resource"].text().endswith(".waitForTaskToken") and all(state[time].missing for time in times):
            yield name
        for inner in (state["ItemProcessor"], state["Iterator"], *state["Branches"].items()):
            yield from _waiting(inner)


def _parsed(text: Value) -> Value:
    try:
        data: Any = json.loads(text.text() or "{}")
    except ValueError:
        data = None
    return Value(data, text.path)


RULES: Final[tuple[Rule, ...]] = (
    Rule(
        name="jobs-end",
        title="Jobs with GPUs, and tasks that wait for an answer, end after a time.",
        severity="medium",
        why="A job that hangs keeps its accelerator, $40,000 a month for the largest; a task whose answer is lost is waited "
        "for a year, with all that waits behind it.",
        fix="`timeout={'attempt_duration_seconds': …}` for a job, TimeoutSeconds or HeartbeatSeconds for a task.",
        check=_ends,
        types=(_JOB, _MACHINE),
        url=f"{AWS_DOCS}/step-functions/latest/dg/sfn-stuck-execution.html",
    ),
)
