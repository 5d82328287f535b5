"""The steps of a batch: what its lines become, whatever is repeated, cancelled, late or broken meanwhile."""

import json
import tracemalloc
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Any, cast

import pytest

from lambda_src.llm_functions.batches.conftest import CALLER, TRIES, Machine, asks
from llm_functions.batch_steps import finish, infer
from llm_functions.batch_steps.infer import Failing, Postponed
from llm_gateway import errors
from llm_gateway.aws import multipart
from llm_gateway.batches.batch import WINDOW_SECONDS
from llm_gateway.call import ModelCall
from llm_gateway.checked_router import Safety as Stage
from llm_gateway.errors import GatewayError
from llm_gateway.events import Delta, Done, Event, Usage
from llm_gateway.safety import GuardrailUse, Safety
from llm_gateway.stages.guardrail import Assessment, Guardrail, Source
from llm_gateway.tables import BATCH_EXECUTION_SECONDS
from support.scripted_provider import Scripted

Make = Callable[..., Machine]
THREE = [asks("a"), asks("b"), asks("c")]


class Echo(Scripted):
    """A provider that reacts as its script says for the text of a prompt, and answers all others."""

    async def answer(self, call: ModelCall) -> AsyncGenerator[list[Event], None]:
        text = call.messages[-1].text
        self.asked.append(text)
        reactions = self.reactions.get(text, [0.0])
        if isinstance(reaction := reactions.pop(0) if len(reactions) > 1 else reactions[0], GatewayError):
            raise reaction.with_traceback(None)
        yield [Delta("target!"), Usage(3, 2), Done("end_turn")]


class Said(Echo):
    """One that answers with a text."""

    def __init__(self, text: str, **reactions: Any) -> None:
        super().__init__(**reactions)
        self.text = text

    async def answer(self, call: ModelCall) -> AsyncGenerator[list[Event], None]:
        async for events in super().answer(call):
            yield [Delta(self.text) if isinstance(event, Delta) else event for event in events]


async def test_each_line_is_answered_in_the_order_of_the_file(machine: Make) -> None:
    made = machine(provider := Echo())
    batch = await made.create(THREE)
    ended = await made.work_off(batch)
    assert (ended.status, ended.total, ended.completed, ended.failed) == ("completed", 3, 3, 0)
    assert (ended.model, ended.error_file) == ("main", "")
    assert ended.usage is not None and ended.usage["total_tokens"] == 15
    lines = await made.file(ended.output_file)
    assert [line["custom_id"] for line in lines] == ["a", "b", "c"]
    assert all(line["error"] is None and line["id"].startswith("batch_req_") for line in lines)
    assert len({line["id"] for line in lines}) == 3
    body = lines[0]["response"]["body"]
    assert body["object"] == "chat.completion" and body["choices"][0]["message"]["content"] == "target!"
    assert lines[0]["response"]["request_id"] == body["id"].removeprefix("chatcmpl-") or body["id"]
    assert sorted(provider.asked) == ["a", "b", "c"]
    assert not made.objects.uploads


async def test_an_error_is_the_answer_of_its_line_alone(machine: Make) -> None:
    made = machine(Echo(b=errors.content_filter()))
    wrong = asks("wrong", temperature=9), asks("unknown", model="nope"), asks("stream", stream=True)
    ended = await made.work_off(await made.create([*THREE, *wrong]))
    assert (ended.status, ended.completed, ended.failed) == ("completed", 2, 4)
    assert await made.answers(ended) == {
        "a": "target!",
        "c": "target!",
        "b": "content_filter",
        "wrong": "invalid_value",
        "unknown": "model_not_found",
        "stream": "invalid_value",
    }
    assert sorted(line["response"]["status_code"] for line in await made.file(ended.error_file)) == [400, 400, 400, 404]


ONCE, LASTING = errors.upstream_failed(detail="x"), errors.upstream_misconfigured(detail="x")


@pytest.mark.parametrize(
    ("reactions", "expected", "times"),
    [
        ([ONCE, 0.0], "target!", 2),
        ([ONCE], "upstream_failed", 4),
        ([LASTING], "upstream_misconfigured", 1),
        ([errors.upstream_throttled(retry_after=1)] * 50 + [0.0], "target!", 51),
        ([errors.upstream_throttled(retry_after=12 * 3600), 0.0], "target!", 2),
        ([errors.upstream_throttled(retry_after=23 * 3600), 0.0], "target!", 2),
        ([errors.upstream_throttled(retry_after=30 * 3600)], "upstream_throttled", 1),
        ([errors.upstream_throttled(retry_after=1)], "batch_expired", 96),
    ],
    ids=[
        "passes",
        "fails each time",
        "lasts",
        "postponed",
        "for half of the window",
        "for nearly all of it",
        "beyond the window",
        "postponed for ever",
    ],
)
async def test_what_may_pass_is_tried_again(machine: Make, reactions: list[Any], expected: str, times: int) -> None:
    provider = Echo(b=reactions)
    made = machine(provider)
    ended = await made.work_off(await made.create(THREE))
    # What fails beside others is tried again alone.
    assert provider.asked.count("a") == 1
    assert (await made.answers(ended))["b"] == expected
    assert provider.asked.count("b") == times
    # The chunks after it wait, as they do where the map has no place left: here they are late.
    assert ended.status == ("expired" if expected == "batch_expired" else "completed")


async def test_an_answer_that_cannot_be_written_at_first_is_not_asked_for_again(machine: Make) -> None:
    made = machine(provider := Echo())
    batch = await made.create(THREE)
    made.objects.refuses = 9
    ended = await made.work_off(batch)
    assert (ended.status, ended.completed, sorted(provider.asked)) == ("completed", 3, ["a", "b", "c"])


async def test_an_answer_that_cannot_be_written_is_paid_for_at_each_try_and_no_more(machine: Make) -> None:
    made = machine(provider := Echo())
    batch = await made.create(THREE)
    made.objects.refuses = 10_000
    assert (await made.step("prepare", batch))["route"] == "infer"
    await made.infer(batch)
    assert provider.asked.count("a") == provider.asked.count("b") == provider.asked.count("c") == TRIES
    made.objects.refuses = 0
    await made.step("finish", batch)
    assert await made.answers(await made.known(batch)) == dict.fromkeys("abc", "request_failed")


# Where the guardrail is away -> how often the model is asked, and the line's error.
AWAY: dict[str, tuple[Source, int, str]] = {
    "before it is asked": ("INPUT", 0, "batch_expired"),
    "after it has answered": ("OUTPUT", TRIES, "guardrail_unavailable"),
}


@pytest.mark.parametrize(("source", "asked", "code"), AWAY.values(), ids=AWAY)
async def test_an_answer_that_cannot_be_checked_was_a_try(machine: Make, source: Source, asked: int, code: str) -> None:
    """A prompt that cannot be checked waits: nothing is paid for that."""

    class Away:
        async def assess(self, of: Source, texts: Sequence[str], deadline: float) -> Assessment:
            if of == source:
                raise errors.guardrail_unavailable()
            return Assessment((), tuple(texts))

    safety = Stage(Safety(guardrail=GuardrailUse()), cast("Guardrail", Away()))
    made = machine(provider := Echo(), safety=safety)
    ended = await made.work_off(await made.create(THREE[:1]))
    assert (await made.answers(ended), len(provider.asked)) == ({"a": code}, asked)


async def test_equal_bodies_are_asked_once_where_they_have_one_answer(machine: Make) -> None:
    made = machine(provider := Echo())
    same = {"temperature": 0}
    lines = [asks("a", "1", **same), asks("a", "2", **same), asks("b", "3"), asks("b", "4"), asks("a", "5", **same)]
    ended = await made.work_off(await made.create(lines))
    assert sorted(provider.asked) == ["a", "b", "b"]
    assert (ended.completed, list(await made.answers(ended))) == (5, ["1", "2", "3", "4", "5"])
    assert ended.usage is not None and ended.usage["input_tokens"] == 9  # of what was asked
    assert len({line["id"] for line in await made.file(ended.output_file)}) == 5


async def test_each_step_may_be_repeated_and_nothing_is_asked_or_ended_twice(machine: Make) -> None:
    made = machine(provider := Echo(b=errors.content_filter()))
    batch = await made.create(THREE)
    for _ in range(2):
        assert (await made.step("prepare", batch))["route"] == "infer"
    for _ in range(2):
        await made.infer(batch)
    progress = await made.known(batch)
    assert (progress.completed, progress.failed) == (2, 1)
    assert await made.step("finish", batch) == {"status": "completed"}
    kept = dict(made.objects.kept)
    assert await made.step("finish", batch) == {"status": "completed"}
    assert await made.step("fail", batch) == {"status": "completed"}
    await made.infer(batch)
    assert made.objects.kept == kept
    assert sorted(provider.asked) == ["a", "b", "c"]
    assert made.table.ends[batch.id] == 1


@pytest.mark.parametrize("lives", range(1, 13))
async def test_a_step_that_is_killed_after_any_write_goes_on_where_it_was(machine: Make, lives: int) -> None:
    made = machine(provider := Echo(b=errors.content_filter()))
    batch = await made.create([*THREE, asks("wrong", temperature=9)])
    made.objects.lives = lives
    ended = await made.work_off(batch)
    # What is refused, one chunk list, three results, and two files of one part.
    assert (made.objects.lives > 0) is (lives > 9)
    assert sorted(provider.asked) == ["a", "b", "c"]
    assert (ended.status, ended.completed, ended.failed) == ("completed", 2, 2)
    answers = {"a": "target!", "b": "content_filter", "c": "target!", "wrong": "invalid_value"}
    assert await made.answers(ended) == answers


async def test_another_execution_ends_at_once_and_changes_nothing(machine: Make) -> None:
    made = machine(provider := Echo())
    batch = await made.create(THREE)
    assert (await made.step("prepare", batch))["route"] == "infer"
    assert (await made.step("prepare", batch, execution="other"))["route"] == "stop"
    await made.step("finish", batch, execution="other")
    await made.step("fail", batch, execution="other")
    assert (await made.known(batch)).status == "in_progress"
    ended = await made.work_off(batch)
    assert ended.status == "completed" and len(provider.asked) == 3


@pytest.mark.parametrize("moment", ["created", "claimed", "prepared", "a chunk is done", "answered", "finished"])
async def test_a_batch_is_cancelled_at_any_moment_and_keeps_what_is_done(machine: Make, moment: str) -> None:
    made = machine(provider := Echo())
    batch = await made.create(THREE)

    async def at(now: str) -> None:
        if now == moment:
            await made.batches.cancel(await made.known(batch))

    await at("created")
    route = await made.step("prepare", batch)
    assert route["route"] == ("stop" if moment == "created" else "infer")
    if moment == "claimed":
        await made.batches.cancel(await made.known(batch))
        assert (await made.step("prepare", batch))["route"] == "finish"
    await at("prepared")
    done = 0
    if route["route"] == "infer":
        for chunk in made.chunks(batch):
            await made.step("infer", batch, chunk=chunk)
            await at("a chunk is done")
        await at("answered")
        await made.step("finish", batch)
    await at("finished")
    ended = await made.known(batch)
    done = {"created": 0, "claimed": 0, "prepared": 0, "a chunk is done": 2}.get(moment, 3)
    assert len(provider.asked) == done
    assert ended.status == ("completed" if moment == "finished" else "cancelled")
    assert await made.answers(ended) == dict.fromkeys(["a", "b", "c"][:done], "target!")
    assert ended.completed == done


async def test_what_is_not_done_in_time_is_told_line_by_line(machine: Make) -> None:
    made = machine(provider := Echo())
    batch = await made.create([*THREE, asks("a", "like a", temperature=0), asks("a", "like it", temperature=0)])
    await made.step("prepare", batch)
    first, *others = made.chunks(batch)
    await made.step("infer", batch, chunk=first)
    made.forward(WINDOW_SECONDS)
    for chunk in others:
        await made.step("infer", batch, chunk=chunk)
    assert await made.step("finish", batch) == {"status": "expired"}
    ended = await made.known(batch)
    late = dict.fromkeys(["c", "like a", "like it"], "batch_expired")
    assert await made.answers(ended) == {"a": "target!", "b": "target!"} | late
    assert (ended.total, ended.completed, ended.failed, len(provider.asked)) == (5, 2, 3, 2)


async def test_a_batch_that_is_taken_too_late_expires_without_an_execution(machine: Make) -> None:
    made = machine(Echo())
    batch = await made.create(THREE)
    made.forward(WINDOW_SECONDS)
    assert (await made.step("prepare", batch))["route"] == "stop"
    assert (await made.known(batch)).status == "expired"


async def test_a_batch_that_is_claimed_in_time_and_begun_too_late_has_expired(machine: Make) -> None:
    made = machine(provider := Echo())
    batch = await made.create(THREE)
    assert await made.batches.claim(batch.id, "run")
    made.forward(WINDOW_SECONDS)
    assert (await made.work_off(batch)).status == "expired"
    assert not provider.asked


OPEN: dict[str, tuple[bool, bool, str]] = {
    # whether it is prepared, and cancelled; how it ends
    "validating": (False, False, "failed"),
    "in_progress": (True, False, "failed"),
    "finalizing": (True, False, "failed"),
    "cancelling": (True, True, "cancelled"),
}


@pytest.mark.parametrize("status", OPEN)
async def test_a_batch_whose_execution_is_gone_is_ended_when_it_is_read_long_after(machine: Make, status: str) -> None:
    is_prepared, is_cancelled, expected = OPEN[status]
    made = machine(Echo())
    batch = await made.create(THREE)
    await made.batches.claim(batch.id, "run")
    if is_prepared:
        await made.step("prepare", batch)
    if is_cancelled:
        await made.batches.cancel(await made.known(batch))
    if status == "finalizing":
        await made.batches.finalize(await made.known(batch))
    made.forward(WINDOW_SECONDS + BATCH_EXECUTION_SECONDS - 1)
    assert (await made.batches.expire(await made.known(batch))).status == status
    made.forward(1)
    ended = await made.batches.expire(await made.known(batch))
    assert ended.status == expected and ended == await made.known(batch)
    assert (ended.errors or [{"code": ""}])[0]["code"] == ("" if is_cancelled else "internal_error")
    assert made.table.ends[batch.id] == 1
    assert await made.batches.expire(ended) == ended


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([], [("empty_batch", None)]),
        ([b"", b"  "], [("empty_batch", None)]),
        ([asks("a"), b"{", b"[]", b"\xff", asks("b")], [("invalid_json_line", n) for n in (2, 3, 4)]),
        ([asks("a"), b"", asks("b", "a")], [("duplicate_custom_id", 3)]),
        ([asks("a", url="/v1/embeddings")], [("url_mismatch", 1)]),
        ([asks("a") | {"method": "GET"}], [("invalid_request", 1)]),
        ([asks("a") | {"custom_id": 7}], [("invalid_request", 1)]),
        ([asks("a") | {"custom_id": "x" * 513}], [("invalid_request", 1)]),
        ([asks("a") | {"body": "x"}], [("invalid_request", 1)]),
        ([{"custom_id": "a", "method": "POST", "url": "/v1/chat/completions"}], [("invalid_request", 1)]),
        ([b"x" * 9_000_000, asks("a"), asks("b") | {"method": ""}], [("invalid_request", 1), ("invalid_request", 3)]),
        ([b"{}"] * 200, [("invalid_request", n) for n in range(1, 101)]),
    ],
)
async def test_a_file_that_is_wrong_fails_its_batch_and_nothing_is_asked(
    machine: Make, lines: list[Any], expected: list[Any]
) -> None:
    made = machine(provider := Echo())
    ended = await made.work_off(await made.create(lines))
    assert ended.status == "failed" and ended.errors is not None
    assert [(each["code"], each["line"]) for each in ended.errors] == expected
    assert all(each["message"] for each in ended.errors)
    assert not provider.asked


async def test_a_file_that_is_deleted_fails_its_batch(machine: Make) -> None:
    made = machine(Echo())
    early, late = await made.create(THREE), await made.create(THREE)
    await made.step("prepare", late)
    first, _ = made.chunks(late)
    await made.step("infer", late, chunk=first)
    for batch in (early, late):
        file = await made.files.get(batch.input_file)
        assert file is not None
        await made.store.delete(file)
    ended = await made.work_off(early)
    assert ended.status == "failed" and ended.errors and ended.errors[0]["code"] == "invalid_input_file"
    await made.infer(late)
    await made.step("finish", late)
    ended = await made.known(late)
    assert ended.status == "failed" and ended.errors and ended.errors[0]["code"] == "invalid_input_file"
    assert await made.answers(ended) == {"a": "target!", "b": "target!"}  # what was paid for


async def test_what_a_dead_function_has_left_is_told_line_by_line(machine: Make) -> None:
    made = machine(Echo())
    batch = await made.create(THREE)
    await made.step("prepare", batch)
    await made.step("infer", batch, chunk=made.chunks(batch)[0])
    await made.step("finish", batch)
    ended = await made.known(batch)
    assert (ended.status, ended.completed, ended.failed) == ("completed", 2, 1)
    assert (await made.answers(ended))["c"] == "request_failed"


async def test_a_step_that_fails_for_good_ends_the_batch_as_failed(machine: Make) -> None:
    made = machine(Echo())
    batch = await made.create(THREE)
    await made.step("prepare", batch)
    assert await made.step("fail", batch) == {"status": "failed"}
    ended = await made.known(batch)
    assert ended.errors and ended.errors[0]["code"] == "internal_error"


async def test_an_error_of_a_step_tells_the_state_machine_nothing_of_what_is_asked(machine: Make, monkeypatch) -> None:
    made = machine(Echo())
    batch = await made.create(THREE)

    async def claim(*_: Any) -> Any:
        raise ValueError("my secret question")

    monkeypatch.setattr(made.batches, "claim", claim)
    with pytest.raises(Failing) as caught:
        await made.step("prepare", batch)
    assert "secret" not in repr(caught.value) and caught.value.__suppress_context__
    for each in (Postponed, Failing):
        assert not str(each())


async def test_other_endpoints_are_answered_in_their_formats(machine: Make) -> None:
    made = machine(Echo())
    line = {"custom_id": "r", "method": "POST", "url": "/v1/responses", "body": {"model": "main", "input": "a"}}
    ended = await made.work_off(await made.create([line], "/v1/responses"))
    assert (await made.file(ended.output_file))[0]["response"]["body"]["object"] == "response"
    assert ended.usage is not None and ended.usage["total_tokens"] == 5
    line = {"custom_id": "c", "method": "POST", "url": "/v1/completions", "body": {"model": "main", "prompt": "a"}}
    ended = await made.work_off(await made.create([line], "/v1/completions", CALLER))
    assert (await made.file(ended.output_file))[0]["response"]["body"]["object"] == "text_completion"


async def test_each_answer_is_one_line_by_any_reader_of_lines(machine: Make) -> None:
    text = "a\u2028b\u2029c\x85d\ve\x1cf\\\u2028"
    made = machine(Said(text, b=errors.content_filter()))
    ended = await made.work_off(await made.create([asks("a", text, temperature=0), asks("a", "2", temperature=0), asks("b")]))
    for id, count in ((ended.output_file, 2), (ended.error_file, 1)):
        file = await made.files.get(id)
        assert file is not None
        lines = made.objects.kept[file.key].decode().splitlines()
        assert [type(json.loads(line)) for line in lines] == [dict] * count
    assert await made.answers(ended) == {text: text, "2": text, "b": "content_filter"}


async def test_a_file_with_a_byte_order_mark_is_read(machine: Make) -> None:
    made = machine(provider := Echo())
    ended = await made.work_off(await made.create([b"\xef\xbb\xbf" + json.dumps(asks("a")).encode(), asks("b")]))
    assert (ended.status, ended.completed, sorted(provider.asked)) == ("completed", 2, ["a", "b"])


async def test_the_chunks_are_the_file(machine: Make) -> None:
    """Each line stands in one chunk, whose bytes are its lines, whatever stands between them and wherever a block ends."""
    made = machine(Echo(), lines_per_call=3)
    lines: list[Any] = [asks("x" * (n * 7_001 % 300_000), str(n)) for n in range(1, 41)]
    lines[7:7] = [b"", b"\r"]
    lines.append(asks("ä€😀"))
    batch = await made.create(lines)
    assert (await made.step("prepare", batch))["route"] == "infer"
    file = await made.files.get(batch.input_file)
    assert file is not None
    content = made.objects.kept[file.key]
    found: list[bytes] = []
    for chunk in made.chunks(batch):
        texts = content[chunk["start"] : chunk["end"]].split(b"\n")
        assert 1 <= len(chunk["lines"]) <= 3 and set(chunk["lines"]) <= set(range(chunk["first"], chunk["first"] + len(texts)))
        found += [texts[number - chunk["first"]] for number in chunk["lines"]]
    assert [json.loads(each) for each in found] == [each for each in lines if isinstance(each, dict)]


async def test_lines_that_ask_nothing_are_not_all_read_at_once(machine: Make) -> None:
    made = machine(Echo(), lines_per_call=100)
    batch = await made.create([asks("a"), b"\n" * 50_000, asks("b")])
    await made.step("prepare", batch)
    assert [(chunk["lines"], chunk["end"] - chunk["start"] < 1_000) for chunk in made.chunks(batch)] == [
        ([1], True),
        ([50_003], True),
    ]


async def test_memory_is_flat_however_many_lines_there_are(machine: Make, monkeypatch) -> None:
    made = machine(Echo(), lines_per_call=100)
    monkeypatch.setattr(multipart, "PART_BYTES", 64 * 1024)
    peaks: list[int] = []
    for count in (4_000, 12_000):
        batch = await made.create([asks("x" * 400, str(n)) for n in range(count)])
        result = b'{"id":"b","custom_id":"c","response":{"status_code":200,"request_id":"r","body":{"m":"%s"}},"error":null}'
        tracemalloc.start()
        await made.step("prepare", batch)
        prepared = tracemalloc.get_traced_memory()[1] - len(made.objects.kept[batch.chunks_key])
        tracemalloc.stop()
        for number in range(1, count + 1):
            made.objects.kept[batch.result_key(number)] = result % (b"x" * 1_000)
        tracemalloc.start()
        await made.step("finish", batch)
        ended = await made.known(batch)
        file = await made.files.get(ended.output_file)
        assert file is not None and ended.completed == count
        finished = tracemalloc.get_traced_memory()[1] - 3 * file.bytes  # the bucket of the test is memory, too
        tracemalloc.stop()
        peaks.append(max(prepared, finished))
    small, large = peaks
    assert large < small + 8_000 * 300


@pytest.mark.assumes("missing-object")
async def test_what_may_not_be_read_is_not_taken_as_missing(machine: Make) -> None:
    made = machine(provider := Echo(), lines_per_call=3)
    batch = await made.create(THREE)
    objects = made.objects
    objects.denied = ""
    with pytest.raises(Failing):  # the file
        await made.step("prepare", batch)
    objects.denied = None
    assert (await made.step("prepare", batch))["route"] == "infer"
    (chunk,) = made.chunks(batch)
    objects.denied = ""
    with pytest.raises(Failing):
        await made.step("infer", batch, chunk=chunk)
    objects.denied = None
    await made.infer(batch)
    assert sorted(provider.asked) == ["a", "b", "c"]
    objects.denied = ".json"  # the answers, by a policy that was changed meanwhile
    with pytest.raises(Failing):
        await made.step("infer", batch, chunk=chunk)
    assert sorted(provider.asked) == ["a", "b", "c"], "an answer that was paid is not asked for again"
    for denied in ("chunks.jsonl", ".json"):
        objects.denied = denied
        with pytest.raises(Failing):
            await made.step("finish", batch)
        assert (await made.known(batch)).status == "finalizing"
    objects.denied = None
    await made.step("finish", batch)
    ended = await made.known(batch)
    assert (ended.status, ended.completed, ended.failed) == ("completed", 3, 0)


@pytest.mark.parametrize("lost", ["chunks.jsonl", "refused/"])
async def test_a_batch_whose_chunks_or_refused_lines_are_lost_is_not_completed(machine: Make, lost: str) -> None:
    made = machine(Echo())
    batch = await made.create([*THREE, asks("wrong", temperature=9)])
    await made.step("prepare", batch)
    (key,) = [key for key in made.objects.kept if lost in key]
    del made.objects.kept[key]
    with pytest.raises(Failing):
        await made.step("finish", batch)
    await made.step("fail", batch)
    assert (await made.known(batch)).status == "failed"


async def test_an_answer_that_is_too_long_is_the_error_of_its_line_alone(machine: Make, monkeypatch) -> None:
    monkeypatch.setattr(infer, "LONGEST_RESULT", 100)
    made = machine(provider := Echo())
    ended = await made.work_off(await made.create([*THREE, asks("wrong", temperature=9)]))
    assert (ended.status, ended.completed, ended.failed) == ("completed", 0, 4)
    found = await made.answers(ended)
    assert {found[id] for id in "abc"} == {"answer_too_large"} and found["wrong"] == "invalid_value"
    assert sorted(provider.asked) == ["a", "b", "c"]


async def test_copies_of_an_answer_have_so_much_of_the_file(machine: Make, monkeypatch) -> None:
    made = machine(provider := Echo())
    batch = await made.create([asks("same", str(n), temperature=0) for n in range(5)])
    await made.step("prepare", batch)
    await made.infer(batch)
    monkeypatch.setattr(finish, "_MOST_COPIED", 2 * len(made.objects.kept[batch.result_key(1)]))
    await made.step("finish", batch)
    ended = await made.known(batch)
    assert (ended.completed, ended.failed, provider.asked) == (3, 2, ["same"])
    assert [line["error"]["code"] for line in await made.file(ended.error_file)] == ["answer_too_large"] * 2
