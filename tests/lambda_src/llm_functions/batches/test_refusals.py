"""Lines that are refused while the file is checked: what they cost, and what tells of them."""

import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from lambda_src.llm_functions.batches.conftest import CALLER, CHAT, Machine, asks
from llm_gateway import errors
from llm_gateway.batches.batch import MOST_LINES
from llm_gateway.rules import Rule
from llm_gateway.stages.policy import Policy
from support.scripted_provider import Scripted

Make = Callable[..., Machine]


def empty(id: int) -> dict[str, Any]:
    return {"custom_id": str(id), "method": "POST", "url": CHAT, "body": {}}


def recorded(capsysbinary: pytest.CaptureFixture[bytes]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsysbinary.readouterr().out.splitlines()]


async def test_a_file_of_refused_lines_costs_no_execution_and_no_object_of_its_own(
    machine: Make, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    made = machine(provider := Scripted())
    batch = await made.create([empty(n) for n in range(MOST_LINES)])
    before = set(made.objects.kept)
    route = await made.step("prepare", batch)
    # The map over the chunks, an execution for each, does not even begin.
    assert route["route"] == "finish" and made.chunks(batch) == []
    known = await made.known(batch)
    assert (known.status, known.total, known.failed) == ("in_progress", MOST_LINES, MOST_LINES)
    await made.step("finish", batch)
    ended = await made.known(batch)
    assert (ended.status, ended.completed, ended.failed, ended.output_file) == ("completed", 0, MOST_LINES, "")
    written = set(made.objects.kept) - before
    error_file = await made.file(ended.error_file)
    assert len(error_file) == MOST_LINES and {line["response"]["status_code"] for line in error_file} == {400}
    assert len({line["custom_id"] for line in error_file}) == len({line["id"] for line in error_file}) == MOST_LINES
    # The list of chunks, the error file, and some for all lines together.
    assert len(written) < 30 and not any("/results/" in key for key in written)
    assert provider.asked == []
    found = recorded(capsysbinary)
    assert len(found) == MOST_LINES and {each["error.type"] for each in found} == {"invalid_value"}


KEPT = asks("kept", stream=False)


@pytest.mark.parametrize(
    ("line", "code", "status", "message"),
    [
        (asks("x", temperature=9), "invalid_value", 400, "refused"),
        (asks("x", stream=True), "invalid_value", 400, "refused"),
        (asks("", "x"), "invalid_value", 400, "chat"),
        (asks("x", model="nope"), "model_not_found", 404, "chat"),
    ],
    ids=["field", "stream", "message", "unknown"],
)
async def test_a_refused_line_is_recorded_as_the_api_does(
    machine: Make, capsysbinary: pytest.CaptureFixture[bytes], line: Any, code: str, status: int, message: str
) -> None:
    made = machine(Scripted())
    batch = await made.create([line, KEPT])
    assert (await made.step("prepare", batch))["route"] == "infer"
    assert [chunk["lines"] for chunk in made.chunks(batch)] == [[2]]
    (found,) = recorded(capsysbinary)
    assert (found["message"], found["error.type"], found["level"]) == (message, code, "WARN")
    assert found["request_id"].startswith(f"{batch.id}-1-")
    await made.infer(batch)
    await made.step("finish", batch)
    ended = await made.known(batch)
    (refused,) = await made.file(ended.error_file)
    assert (refused["custom_id"], refused["response"]["status_code"]) == ("x", status)
    assert refused["response"]["request_id"] == found["request_id"]
    assert (ended.completed, ended.failed) == (1, 1)


@pytest.mark.parametrize(
    ("models", "rules", "code"),
    [
        (("other",), (), "model_not_allowed"),
        (None, (Rule("private", retention="none"),), "denied_by_rule"),
        (None, (Rule("tools", models=("other",)),), "denied_by_rule"),
    ],
    ids=["key", "nothing is kept", "rule"],
)
async def test_what_its_caller_may_not_ask_is_no_chunk(
    machine: Make, models: tuple[str, ...] | None, rules: tuple[Rule, ...], code: str
) -> None:
    made = machine(provider := Scripted(), policy=Policy(rules, ()) if rules else None)
    caller = msgspec.structs.replace(CALLER, models=models)
    ended = await made.work_off(await made.create([asks("a"), asks("b")], caller=caller))
    assert made.chunks(ended) == [] and provider.asked == []
    assert await made.answers(ended) == {"a": code, "b": code}


async def test_what_is_switched_off_may_come_back_so_it_is_asked(machine: Make) -> None:
    class Off:
        """Feature flags by which everything is switched off."""

        version = ""

        def current(self) -> Any:
            return made.gateway

        async def fetched(self, seconds: float | None = None) -> None:
            pass

        def admit(self, alias: str) -> None:
            raise errors.model_disabled(name=alias, then="")

    made = machine(Scripted(), flags=Off())
    batch = await made.create([asks("a"), asks("b", temperature=9)])
    assert (await made.step("prepare", batch))["route"] == "infer"
    assert [chunk["lines"] for chunk in made.chunks(batch)] == [[1]]
