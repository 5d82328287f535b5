"""The lines of a batch's file: read in blocks, checked, and divided into the chunks that a call of the function answers.

A chunk is a range of the file's bytes. Of equal bodies that have one answer, only the first is asked; the others copy it.
"""

import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from typing import Any, NamedTuple

import msgspec

from llm_functions.api_formats.batch_lines import LONGEST_LINE, Line, LineProblem, has_one_answer, read_line
from llm_gateway.batches.batch import MOST_LINES

# The most problems of a file that its batch shows.
MOST_PROBLEMS = 100
_BLOCK_BYTES = 1024 * 1024
# The most bytes of a chunk with several lines.
_CHUNK_BYTES = 4 * 1024 * 1024
# The most lines of its bytes, with those between them that ask nothing.
_CHUNK_LINES = 10_000

Read = Callable[[int, int], Awaitable[bytes]]
"""Return the bytes of the file from the first place to before the second."""
Refuse = Callable[[int, Line], Awaitable[bool]]
"""Return whether the line of that number is refused, so that it is no chunk's."""


class Chunk(msgspec.Struct):
    """Some lines that follow each other: a range of bytes, which begins with the line `first`, counted from 1.

    `lines` are the numbers of those that ask something, and `copies` has those among them which an earlier one answers, each
    with that one.
    """

    batch: str
    chunk: int
    start: int
    end: int
    first: int
    lines: list[int]
    copies: list[tuple[int, int]]


class CheckedFile(NamedTuple):
    """How many requests a file has, its chunks as JSON, one in a line, and what is wrong with it."""

    total: int
    chunks: bytes
    problems: Sequence[dict[str, Any]]


def decode_chunks(text: bytes) -> Iterator[Chunk]:
    return map(_decode_chunk, text.splitlines())


_decode_chunk = msgspec.json.Decoder(Chunk).decode


async def check(batch: str, endpoint: str, read: Read, size: int, *, lines_per_call: int, refuse: Refuse) -> CheckedFile:
    """Check a file of `size` bytes, and divide it. What is kept of a line meanwhile are a few bytes."""
    problems: list[dict[str, Any]] = []
    chunks, chunk, count, total = bytearray(), None, 0, 0
    known_ids, known_bodies = set[bytes](), dict[bytes, int]()

    def add(code: str, message: str, param: str | None, number: int | None) -> None:
        if len(problems) < MOST_PROBLEMS:
            problems.append({"code": code, "message": message, "param": param, "line": number})

    async for number, start, text in _lines(read, size):
        if not text.strip():
            continue
        total += 1
        if total > MOST_LINES:
            add("too_many_tasks", f"The file has more than {MOST_LINES:,} requests.", None, None)
            break
        try:
            if len(text) > LONGEST_LINE:
                raise LineProblem("invalid_request", f"The line has more than {LONGEST_LINE // 1024**2} MiB.")
            line = read_line(text, endpoint)
            if (id := _short(line.custom_id.encode())) in known_ids:
                raise LineProblem("duplicate_custom_id", "custom_id: another line before has it, too", "custom_id")
            known_ids.add(id)
        except LineProblem as problem:
            add(problem.code, problem.message, problem.param, number)
            continue
        if problems or await refuse(number, line):  # of a file with problems, nothing is asked
            continue
        end = start + len(text)
        is_long = chunk is not None and (end - chunk.start > _CHUNK_BYTES or number - chunk.first >= _CHUNK_LINES)
        if chunk is None or len(chunk.lines) == lines_per_call or is_long:
            if chunk is not None:
                chunks += msgspec.json.encode(chunk) + b"\n"
            chunk, count = Chunk(batch, count, start, end, number, [], []), count + 1
        chunk.lines.append(number)
        chunk.end = end
        if has_one_answer(line, endpoint):
            first = known_bodies.setdefault(_short(bytes(line.body)), number)
            if first != number:
                chunk.copies.append((number, first))
    if chunk is not None:
        chunks += msgspec.json.encode(chunk) + b"\n"
    if not total:
        add("empty_batch", "The file has no requests.", None, None)
    return CheckedFile(total, bytes(chunks), problems)


async def _lines(read: Read, size: int) -> AsyncIterator[tuple[int, int, bytes]]:
    """Yield each line with its number and its place. Of one that is too long, the beginning."""
    number, start, kept, skipped = 1, 0, b"", 0
    for place in range(0, size, _BLOCK_BYTES):
        block = await read(place, min(place + _BLOCK_BYTES, size))
        *ended, rest = block.split(b"\n")
        for text in ended:
            whole = kept + text
            yield number, start, whole
            start += len(whole) + skipped + 1
            number, kept, skipped = number + 1, b"", 0
        kept += rest
        if len(kept) > LONGEST_LINE + 1:  # it is refused for its length, so what follows of it need not be kept
            skipped += len(kept) - LONGEST_LINE - 1
            kept = kept[: LONGEST_LINE + 1]
    if kept:
        yield number, start, kept


def _short(value: bytes) -> bytes:
    return hashlib.blake2b(value, digest_size=16).digest()
