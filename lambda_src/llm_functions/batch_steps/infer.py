"""Answers the lines of a chunk, all at once, through the same pipeline as any request.

An answer is written once, as it will stand in the output or error file. So a step that is repeated asks nothing again that is
there, and what may still succeed is asked again by the state machine, which repeats the step.
"""

import asyncio
import secrets
from typing import Literal

import msgspec

from llm_functions.api_formats.batch_lines import Line, answered, parse, read_line, refused, rendered, undone
from llm_functions.batch_steps.lines import Chunk
from llm_gateway import errors
from llm_gateway.batches.batch import ENDED, Batch
from llm_gateway.batches.store import BatchStore
from llm_gateway.errors import GatewayError
from llm_gateway.gateway import Gateway
from llm_gateway.jobs.retries import is_postponed, may_pass
from llm_gateway.jobs.store import StoreErrors, put_answer
from llm_gateway.pipeline import answer
from llm_gateway.tables import FILES_PREFIX
from llm_gateway.telemetry import stacktrace, write_log, write_warning

# The longest line of an answer, in bytes: the last step reads some at once, in memory.
LONGEST_RESULT = 12 * 1024 * 1024


class Postponed(Exception):
    """What a line needs is used up, switched off or not there for now. The step is repeated while its batch lasts."""


class Failing(Exception):
    """The step has failed, and may succeed when it is repeated."""


Outcome = Literal["known", "completed", "failed", "postponed", "failing"]


class Answering(msgspec.Struct, frozen=True):
    """What answers lines. `seconds` is how long an answer may take."""

    gateway: Gateway
    store: BatchStore
    seconds: float
    debug: bool

    async def chunk(self, chunk: Chunk, *, is_last: bool, deadline: float, trace: str) -> None:
        """Answer what is not answered yet. Raises `Postponed` or `Failing` where something is left to be tried again.

        Args:
            is_last: This is the last try of what fails: its error is its answer.
            deadline: A time of the running loop's clock. Answers have come, and are written, by then.
        """
        batch = await self.store.batches.get(chunk.batch)
        if batch is None or batch.cancel or batch.status in ENDED or batch.expires_at <= self.store.batches.clock():
            return
        copies = {number for number, _ in chunk.copies}
        content = await self.store.bucket.get_range(f"{FILES_PREFIX}{batch.input_file}", chunk.start, chunk.end)
        texts = dict(enumerate(content.split(b"\n"), chunk.first))
        asked = [(number, texts[number]) for number in chunk.lines if number not in copies]
        outcomes = await asyncio.gather(
            *(self._line(batch, number, text, is_last=is_last, deadline=deadline, trace=trace) for number, text in asked)
        )
        completed, failed = outcomes.count("completed"), outcomes.count("failed")
        if completed or failed:
            await self.store.batches.count(batch.id, completed, failed)
        if "failing" in outcomes:
            raise Failing
        if "postponed" in outcomes:
            raise Postponed

    async def _line(self, batch: Batch, number: int, text: bytes, *, is_last: bool, deadline: float, trace: str) -> Outcome:
        if self.gateway.tracer is not None:
            self.gateway.tracer.begin_event(trace)
        request_id = f"{batch.id}-{number}-{secrets.token_hex(4)}"
        answer_by = min(deadline, asyncio.get_running_loop().time() + self.seconds)
        key, line, outcome = batch.result_key(number), read_line(text, batch.endpoint), "completed"
        try:
            if await self.store.bucket.exists(key):
                return "known"
            try:
                body = await self._answered(batch, line, request_id, answer_by)
                result = answered(batch, number, line.custom_id, request_id, body)
                if len(result) > LONGEST_RESULT:
                    outcome, told = "failed", f"the answer has {len(result):,} bytes, above the {LONGEST_RESULT:,} of a line"
                    result = undone(batch, number, line.custom_id, "answer_too_large", f"{told}; ask for less in one line")
            except GatewayError as error:
                if (again := self._again(batch, error, is_last=is_last)) is not None:
                    return again
                outcome = "failed"
                result = refused(batch, number, line.custom_id, request_id, error, debug=self.debug)
            return outcome if await put_answer(self.store.bucket, key, result, deadline) else "known"
        except StoreErrors as error:
            write_warning(f"{type(error).__name__}: {error}", request_id=request_id)
            return "failing"

    async def _answered(self, batch: Batch, line: Line, request_id: str, deadline: float) -> bytes:
        """Return the answer to a line. Raises `GatewayError`."""
        try:
            request, render = parse(batch.endpoint, line.body)
            if (policy := self.gateway.current().policy) is not None:  # the rule may be newer than the batch
                policy.check_job(batch.caller)
            return await rendered(render, answer(self.gateway, request, batch.caller, request_id, deadline))
        except GatewayError:
            raise
        except Exception as error:
            write_log({"level": "ERROR", "message": stacktrace(error), "request_id": request_id})
            raise errors.unexpected(error) from error

    def _again(self, batch: Batch, error: GatewayError, *, is_last: bool) -> Outcome | None:
        """Return why a line is asked again after an error, None if it is not."""
        if not may_pass(error, batch.expires_at - self.store.batches.clock()):
            return None
        if is_postponed(error):
            return "postponed"
        return None if is_last else "failing"
