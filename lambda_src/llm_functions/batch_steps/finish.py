"""Puts the output and the error file of a batch together, in a stream, and ends the batch."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import Any, Literal, NamedTuple

import msgspec

from llm_functions.api_formats.batch_lines import copied, read_line, undone
from llm_functions.batch_steps.lines import Chunk, decode_chunks
from llm_gateway.aws.multipart import ObjectWriter
from llm_gateway.aws.s3 import Bucket, S3Error
from llm_gateway.batches.batch import ENDED, Batch, Ended
from llm_gateway.batches.file import file_of_batch
from llm_gateway.batches.store import BatchStore
from llm_gateway.batches.table import NOT_WORKED_OFF
from llm_gateway.jobs.store import StoreErrors
from llm_gateway.tables import FILES_PREFIX
from llm_gateway.telemetry import write_warning

# Results that are read at once: so many of them are in memory.
_AT_ONCE = 8
INPUT_GONE: dict[str, Any] = {
    "code": "invalid_input_file",
    "message": "The input file is not there any more.",
    "param": "input_file_id",
    "line": None,
}
# The most bytes of an output file that are copies of answers to equal requests: one answer could fill a bucket by a file of
# short lines.
_MOST_COPIED = 256 * 1024 * 1024
_TOO_MANY_COPIES = "answer_too_large", "The copies of answers to equal requests have filled their part of the output file."
_EXPIRED = "batch_expired", "This request could not be executed before the completion window expired."
_LOST = "request_failed", "This request could not be carried out."


async def finish(store: BatchStore, id: str, execution: str) -> str:
    """Write the files of a batch and end it. Returns its status."""
    batch = await store.batches.get(id)
    if batch is None or batch.status in ENDED or batch.execution != execution:
        return "" if batch is None else batch.status
    batch = await store.batches.finalize(batch)
    if batch.status in ENDED:
        return batch.status
    if not batch.in_progress_at:  # its file was never divided
        return (await _end_unbegun(store, batch)).status
    files = {kind: _File(store, batch, kind) for kind in _KINDS}
    tally = _Tally()
    expired = batch.expires_at <= store.batches.clock()
    try:
        async for result in _results(store, batch, expired=expired):
            tally.add(result)
            if result.line:
                await files["output" if result.succeeded else "error"].write(result.line)
        named = {f"{kind}_file": await file.close() for kind, file in files.items()}
    finally:
        for file in files.values():
            await file.give_up()
    status: Ended = "completed"
    if batch.cancel:
        status = "cancelled"
    elif tally.gone:
        status = "failed"
    elif tally.undone and expired:
        status = "expired"
    ended = await store.batches.end(
        batch,
        status,
        total=tally.total or None,
        completed=tally.completed,
        failed=tally.failed,
        **named,
        usage=tally.usage(),
        errors=[INPUT_GONE] if tally.gone else None,
        model=tally.models.pop() if len(tally.models) == 1 else "",
    )
    return ended.status


async def _end_unbegun(store: BatchStore, batch: Batch) -> Batch:
    if batch.cancel:
        return await store.batches.end(batch, "cancelled")
    if batch.expires_at <= store.batches.clock():
        return await store.batches.end(batch, "expired")
    return await store.batches.end(batch, "failed", errors=[NOT_WORKED_OFF])


_KINDS: tuple[Literal["output", "error"], ...] = ("output", "error")


class _Usage(msgspec.Struct):
    """The usage of an answer, in the format of any endpoint."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    prompt_tokens_details: dict[str, Any] | None = None
    completion_tokens_details: dict[str, Any] | None = None
    input_tokens: int = 0
    output_tokens: int = 0
    input_tokens_details: dict[str, Any] | None = None
    output_tokens_details: dict[str, Any] | None = None


class _Body(msgspec.Struct):
    model: str = ""
    usage: _Usage | None = None


class _Response(msgspec.Struct):
    status_code: int
    body: _Body


class _Answer(msgspec.Struct):
    response: _Response | None = None


_decode = msgspec.json.Decoder(_Answer).decode


class _Result(NamedTuple):
    """The line of a request's answer. It is empty where there is none, and the batch was cancelled, or its file is `gone`."""

    line: bytes
    answer: _Answer | None = None
    is_copy: bool = False
    gone: bool = False

    @property
    def succeeded(self) -> bool:
        return self.answer is not None and self.answer.response is not None and self.answer.response.status_code == 200


class _Tally:
    """Counts what became of the requests."""

    def __init__(self) -> None:
        self.total = self.completed = self.failed = self.undone = 0
        self.gone = False
        self.models = set[str]()
        self._input = self._output = self._cached = self._reasoning = 0

    def add(self, result: _Result) -> None:
        self.total += 1
        self.gone |= result.gone
        self.undone += result.answer is None
        self.completed += result.succeeded
        self.failed += bool(result.line) and not result.succeeded
        if result.answer is None or result.answer.response is None or result.is_copy:
            return
        body = result.answer.response.body
        if result.succeeded and body.model:
            self.models.add(body.model)
        if (usage := body.usage) is not None:
            self._input += usage.prompt_tokens or usage.input_tokens
            self._output += usage.completion_tokens or usage.output_tokens
            self._cached += _detail(usage.prompt_tokens_details or usage.input_tokens_details, "cached_tokens")
            self._reasoning += _detail(usage.completion_tokens_details or usage.output_tokens_details, "reasoning_tokens")

    def usage(self) -> dict[str, Any]:
        """Return the usage of a batch as OpenAI has it. Copies of an answer used nothing."""
        return {
            "input_tokens": self._input,
            "input_tokens_details": {"cached_tokens": self._cached},
            "output_tokens": self._output,
            "output_tokens_details": {"reasoning_tokens": self._reasoning},
            "total_tokens": self._input + self._output,
        }


def _detail(details: dict[str, Any] | None, name: str) -> int:
    value: Any = (details or {}).get(name)
    return value if isinstance(value, int) else 0


class _File:
    """A file of a batch, which is there only if something was written to it."""

    def __init__(self, store: BatchStore, batch: Batch, kind: Literal["output", "error"]) -> None:
        self._store = store
        self._batch = batch
        self._kind: Literal["output", "error"] = kind
        self._writer = ObjectWriter(store.bucket, file_of_batch(batch, kind, 0, 0).key, "application/jsonl")

    async def write(self, line: bytes) -> None:
        await self._writer.write(line + b"\n")

    async def close(self) -> str:
        """Make the file, and return its id, empty if there is none."""
        if not self._writer.size:
            return ""
        await self._writer.close()
        file = file_of_batch(self._batch, self._kind, self._writer.size, self._store.files.clock())
        await self._store.files.add(file)
        return file.id

    async def give_up(self) -> None:
        try:
            await self._writer.give_up()
        except StoreErrors as error:  # the bucket's lifecycle deletes the parts
            write_warning(f"the parts of the {self._kind} file of {self._batch.id} are left: {error}")


async def _results(store: BatchStore, batch: Batch, *, expired: bool) -> AsyncIterator[_Result]:
    """Yield the results: those of the lines that were refused first, the others in the order of the file."""
    for number in range(batch.refusals):
        for line in (await _prepared(store.bucket, batch.refused_key(number))).splitlines():
            yield _Result(line, _decode(line))
    waiting, room = deque[asyncio.Task[_Result]](), _Room(_MOST_COPIED)
    try:
        for chunk in decode_chunks(await _prepared(store.bucket, batch.chunks_key)):
            source = _Source(store.bucket, batch, chunk)
            for number in chunk.lines:
                waiting.append(asyncio.ensure_future(_result(store.bucket, batch, source, number, room, expired=expired)))
                if len(waiting) == _AT_ONCE:
                    yield await waiting.popleft()
        while waiting:
            yield await waiting.popleft()
    finally:
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


async def _prepared(bucket: Bucket, key: str) -> bytes:
    """Return an object that was written before the batch was begun: without it, nobody knows what was asked."""
    if (content := await bucket.get(key)) is None:
        raise RuntimeError(f"{key} is not there")
    return content


class _Source:
    """The lines of a chunk, read once, where they are needed."""

    def __init__(self, bucket: Bucket, batch: Batch, chunk: Chunk) -> None:
        self._bucket = bucket
        self._key = f"{FILES_PREFIX}{batch.input_file}"
        self._endpoint = batch.endpoint
        self._chunk = chunk
        self._reading: asyncio.Task[bytes] | None = None
        self.copies = dict(chunk.copies)

    async def custom_id(self, number: int) -> str:
        if self._reading is None:
            self._reading = asyncio.ensure_future(_read(self._bucket, self._key, self._chunk))
        lines = (await self._reading).split(b"\n")
        return read_line(lines[number - self._chunk.first], self._endpoint).custom_id


async def _read(bucket: Bucket, key: str, chunk: Chunk) -> bytes:
    return await bucket.get_range(key, chunk.start, chunk.end)


async def _result(bucket: Bucket, batch: Batch, source: _Source, number: int, room: "_Room", *, expired: bool) -> _Result:
    first = source.copies.get(number)
    content = await bucket.get(batch.result_key(number if first is None else first))
    if content is not None and first is None:
        return _Result(content, _decode(content))
    if content is None and batch.cancel:
        return _Result(b"")
    try:
        custom_id = await source.custom_id(number)
    except S3Error as error:
        if not error.missing:
            raise
        return _Result(b"", gone=True)
    if content is None:
        return _Result(undone(batch, number, custom_id, *(_EXPIRED if expired else _LOST)))
    if not room.take(len(content)):
        return _Result(undone(batch, number, custom_id, *_TOO_MANY_COPIES))
    return _Result(copied(batch, number, custom_id, content), _decode(content), is_copy=True)


class _Room:
    """Bytes that are left for something."""

    def __init__(self, left: int) -> None:
        self._left = left

    def take(self, count: int) -> bool:
        """Take so many, and return whether they were left."""
        if count > self._left:
            return False
        self._left -= count
        return True
