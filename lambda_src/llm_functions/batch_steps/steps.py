"""The steps, each of which may be repeated: it finds what it has done before, and goes on.

prepare     claims the batch, checks its file and divides it into chunks
infer       answers the lines of a chunk
finish      writes the output and the error file, and ends the batch
fail        ends a batch of which one of the other steps fails again and again
"""

import asyncio
from collections.abc import Mapping
from typing import Any

import msgspec

from llm_functions.batch_steps.finish import INPUT_GONE, finish
from llm_functions.batch_steps.infer import Answering, Failing, Postponed
from llm_functions.batch_steps.lines import Chunk, check
from llm_functions.batch_steps.refusals import Refusals
from llm_gateway.aws.s3 import S3Error
from llm_gateway.batches.batch import ENDED, Batch
from llm_gateway.batches.store import BatchStore
from llm_gateway.batches.table import NOT_WORKED_OFF
from llm_gateway.gateway import Gateway
from llm_gateway.telemetry import stacktrace, write_log, write_warning

# Seconds before the end of the invocation at which an answer times out, so that what became of it can still be written.
END_SECONDS = 20.0
# Seconds for which a step waits for newer feature flags.
_FLAGS_SECONDS = 3.0


class BatchSteps:
    """The steps. A process has one.

    Args:
        bucket: The name of the bucket.
        lines_per_call: How many lines a chunk has.
        answer_seconds: How long an answer may take.
    """

    def __init__(
        self,
        gateway: Gateway,
        store: BatchStore,
        bucket: str,
        *,
        lines_per_call: int,
        answer_seconds: float,
        debug: bool = False,
    ) -> None:
        self._gateway = gateway
        self._store = store
        self._bucket = bucket
        self._lines_per_call = lines_per_call
        self._debug = debug
        self._answering = Answering(gateway, store, answer_seconds, debug)

    async def run(self, event: Mapping[str, Any], seconds: float, trace: str = "") -> Any:
        """Do a step. The state machine keeps the name and the text of an error, so these say nothing of what is asked.

        Args:
            event: What the state machine says: the step, and what it is to be done with.
            seconds: How long the function may still run.
            trace: X-Ray's header of the event.
        """
        deadline = asyncio.get_running_loop().time() + seconds - END_SECONDS
        try:
            match event["step"]:
                case "prepare":
                    return await self._prepare(event["batch"], event["execution"])
                case "infer":
                    return await self._infer(event, deadline, trace)
                case "finish":
                    return {"status": await finish(self._store, event["batch"], event["execution"])}
                case step:
                    assert step == "fail", step
                    return {"status": await self._fail(event["batch"], event["execution"])}
        except (Postponed, Failing):
            raise
        except Exception as error:
            write_log({"level": "ERROR", "message": stacktrace(error), "step": str(event.get("step"))})
            raise Failing(type(error).__name__) from None

    async def _prepare(self, id: str, execution: str) -> dict[str, str]:
        batches = self._store.batches
        batch = await batches.claim(id, execution)
        if batch is None:  # another execution has it, it has ended, or it is too late
            known = await batches.get(id)
            if known is not None:
                await batches.expire(known)
            return self._route("stop")
        if batch.cancel or batch.expires_at <= batches.clock():
            return self._route("finish", batch)
        return self._route(await self._divide(batch), batch)

    async def _divide(self, batch: Batch) -> str:
        """Check the file, and write its chunks. Returns the route from there."""
        batches, bucket = self._store.batches, self._store.bucket
        file = await self._store.files.get(batch.input_file)
        if file is None:
            await batches.end(batch, "failed", errors=[INPUT_GONE])
            return "stop"

        async def read(start: int, end: int) -> bytes:
            return await bucket.get_range(file.key, start, end)

        await self._flags_fetched()
        refusals = Refusals(self._gateway, bucket, batch, debug=self._debug)
        try:
            checked = await check(
                batch.id, batch.endpoint, read, file.bytes, lines_per_call=self._lines_per_call, refuse=refusals.takes
            )
        except S3Error as error:
            if not error.missing:
                raise
            await batches.end(batch, "failed", errors=[INPUT_GONE])
            return "stop"
        if checked.problems:
            await batches.end(batch, "failed", errors=checked.problems)
            return "stop"
        await refusals.written()
        await bucket.put(batch.chunks_key, checked.chunks)
        batch = await batches.begin(batch, checked.total, refused=refusals.count, refusals=refusals.objects)
        if batch.status in ENDED:
            return "stop"
        return "finish" if batch.cancel or not checked.chunks else "infer"

    def _route(self, route: str, batch: Batch | None = None) -> dict[str, str]:
        return {"route": route, "bucket": self._bucket, "key": "" if batch is None else batch.chunks_key}

    async def _infer(self, event: Mapping[str, Any], deadline: float, trace: str) -> int:
        await self._flags_fetched()  # what is switched off, or forbidden, is not begun
        chunk = msgspec.convert(event["chunk"], Chunk)
        try:
            await self._answering.chunk(chunk, is_last=event.get("last", False), deadline=deadline, trace=trace)
        except S3Error as error:
            if not error.missing:
                raise
            write_warning(f"the input file of {chunk.batch} is not there any more")  # the last step ends the batch so
        finally:
            if self._gateway.tracer is not None:
                await self._gateway.tracer.sent()
        return 0  # the state machine keeps the result of each chunk, 256 KiB in all

    async def _flags_fetched(self) -> None:
        self._gateway.current()  # newer feature flags are fetched
        if self._gateway.flags is not None:
            await self._gateway.flags.fetched(_FLAGS_SECONDS)

    async def _fail(self, id: str, execution: str) -> str:
        batch = await self._store.batches.get(id)
        if batch is None or batch.execution not in ("", execution):
            return ""
        return (await self._store.batches.end(batch, "failed", errors=[NOT_WORKED_OFF])).status
