"""The steps of batches with their table and bucket, all in the test's process, and a state machine that repeats steps."""

import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from llm_functions.batch_steps.infer import Failing, Postponed
from llm_functions.batch_steps.steps import BatchSteps
from llm_gateway.aws.s3 import S3Error
from llm_gateway.batches.batch import Batch, new_batch
from llm_gateway.batches.file import new_file
from llm_gateway.batches.files import FileTable
from llm_gateway.batches.store import BatchStore
from llm_gateway.batches.table import BatchTable
from llm_gateway.gateway import Gateway
from llm_gateway.identity.caller import Caller
from llm_gateway.routes import Routes
from support.clock import Clock
from support.jobs_table import TABLE, Objects, Table
from support.scripted_provider import alias, routing

EPOCH = 1_800_000_000.0
CALLER = Caller("acme", "ci")
CHAT = "/v1/chat/completions"


def asks(text: str, id: str = "", /, *, url: str = CHAT, **body: Any) -> dict[str, Any]:
    """A line of a file."""
    body = {"model": "main", "messages": [{"role": "user", "content": text}], **body}
    return {"custom_id": id or text, "method": "POST", "url": url, "body": body}


def file_of(lines: Sequence[Any]) -> bytes:
    return b"".join((each if isinstance(each, bytes) else json.dumps(each).encode()) + b"\n" for each in lines)


# How often what fails is tried.
TRIES = 4


class Killed(BaseException):
    """The function's process ends here."""


class Dying(Objects):
    """A bucket after whose n-th write the process is killed, once, and that denies the next `refuses` new objects."""

    def __init__(self) -> None:
        super().__init__()
        self.lives = -1
        self.refuses = 0

    def _die(self) -> None:
        self.lives -= 1
        if not self.lives:
            raise Killed

    async def put(self, key: str, content: bytes) -> None:
        await super().put(key, content)
        self._die()

    async def put_new(self, key: str, content: bytes) -> bool:
        if self.refuses:
            self.refuses -= 1
            raise S3Error("AccessDenied", 403)
        is_new = await super().put_new(key, content)
        self._die()
        return is_new

    async def upload_part(self, key: str, upload: str, number: int, content: bytes) -> str:
        etag = await super().upload_part(key, upload, number, content)
        self._die()
        return etag

    async def complete_upload(self, key: str, upload: str, etags: Sequence[str]) -> None:
        await super().complete_upload(key, upload, etags)
        self._die()


class Machine:
    """The state machine's way through the steps, and what they work with. `provider` answers."""

    def __init__(self, clock: Clock, provider: Any, *, lines_per_call: int = 2, **gateway: Any) -> None:
        began = clock.now()
        self.forward = clock.forward
        self.clock = lambda: EPOCH + clock.now() - began
        self.table, self.objects = Table(), Dying()
        self.batches = BatchTable(self.table, TABLE, clock=self.clock)
        self.files = FileTable(self.table, TABLE, clock=self.clock)
        self.store = BatchStore(self.batches, self.files, self.objects)
        self.gateway = Gateway(Routes((alias("target"),)), routing(provider), **gateway)
        self.steps = BatchSteps(
            self.gateway,
            self.store,
            "the-bucket",
            lines_per_call=lines_per_call,
            answer_seconds=300,
        )
        self._keys = itertools.count()

    async def create(self, lines: Sequence[Any], endpoint: str = CHAT, caller: Caller = CALLER, **more: Any) -> Batch:
        file = new_file(caller, "in.jsonl", len(content := file_of(lines)), self.clock())
        await self.store.keep(file, content)
        asked = {"input_file_id": file.id, "endpoint": endpoint}
        batch = new_batch(caller, asked, self.clock(), endpoint=endpoint, input_file=file.id, **more)
        return await self.batches.add(batch)

    async def step(self, step: str, batch: Batch, *, execution: str = "run", repeated: bool = False, **more: Any) -> Any:
        """Do a step; `repeated`: once more, where its process was killed."""
        event = {"step": step, "batch": batch.id, "execution": execution, **more}
        while True:
            try:
                return await self.steps.run(event, 900)
            except Killed:
                assert repeated

    def chunks(self, batch: Batch) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.objects.kept[batch.chunks_key].splitlines()]

    async def infer(self, batch: Batch, tries: int = TRIES, pause: float = 900.0) -> None:
        """Answer the chunks as the map does: what is `Failing` is tried so often, `Postponed` for as long as it lasts."""
        for chunk in self.chunks(batch):
            left = tries
            while left:
                try:
                    last = {"last": True} if left == 1 else {}
                    assert await self.step("infer", batch, repeated=True, chunk=chunk, **last) == 0
                    break
                except Failing:
                    left -= 1
                except Postponed:
                    pass
                self.forward(pause)

    async def work_off(self, batch: Batch) -> Batch:
        route = await self.step("prepare", batch, repeated=True)
        if route["route"] == "infer":
            await self.infer(batch)
        if route["route"] != "stop":
            await self.step("finish", batch, repeated=True)
        return await self.known(batch)

    async def known(self, batch: Batch) -> Batch:
        found = await self.batches.get(batch.id)
        assert found is not None
        return found

    async def file(self, id: str) -> list[Any]:
        """The lines of a file, none if there is none."""
        if not id:
            return []
        found = await self.files.get(id)
        assert found is not None
        content = self.objects.kept[found.key]
        assert found.bytes == len(content)
        return [json.loads(line) for line in content.splitlines()]

    async def answers(self, batch: Batch) -> Mapping[str, str]:
        """What each line has: the text of its answer, or the code of its error."""
        found: dict[str, str] = {}
        for line in await self.file(batch.output_file) + await self.file(batch.error_file):
            assert line["custom_id"] not in found
            response = line["response"]
            if response is None:
                found[line["custom_id"]] = line["error"]["code"]
            elif response["status_code"] == 200:
                found[line["custom_id"]] = response["body"]["choices"][0]["message"]["content"]
            else:
                found[line["custom_id"]] = response["body"]["error"]["code"]
        return found


@pytest.fixture
def machine(clock: Clock) -> Callable[..., Machine]:
    clock._quiet = 0.0  # nothing is on its way outside of this process

    def make(provider: Any, **more: Any) -> Machine:
        return Machine(clock, provider, **more)

    return make
