"""`/jobs`: what is asked now, and answered later."""

from collections.abc import AsyncGenerator, Sequence
from typing import Any, Final, TypeVar
from urllib.parse import quote, urlencode

import msgspec

from llm_gateway.http.client import HttpError
from llm_gateway.operations import operations
from pulumi_llm.cli.transports.http import NOT_THE_SERVICE, SILENCE_SECONDS, HttpService
from pulumi_llm.cli.transports.sse import SseDecoder
from pulumi_llm.cli.transports.transport import ErrorData

_PATHS: Final = {each.id: each.path for each in operations(tickets=False, limits=False, journal=False, jobs=True)}
_Kind = TypeVar("_Kind")
ENDED: Final = ("succeeded", "failed", "cancelled")


class Job(msgspec.Struct):
    """A job, as the service describes it. `result` is the JSON of its answer."""

    id: str
    status: str
    model: str = ""
    created: str = ""
    ended: str = ""
    attempts: int = 0
    error: ErrorData | None = None
    result: Any = None

    @property
    def has_ended(self) -> bool:
        return self.status in ENDED


class _Page(msgspec.Struct):
    jobs: list[Job]
    next: str = ""


class JobsClient(HttpService):
    """The jobs of a service. Its methods raise `ChatError`."""

    wrong_scheme = "jobs need the URL of the REST API (the output api_gateway_url)"

    async def submit(self, asked: Sequence[Any], key: str) -> list[Job]:
        """Submit jobs: the same ones again where `key` was used before."""
        body = msgspec.json.encode({"jobs": asked})
        headers = [("idempotency-key", key)]
        return self._decoded(await self._text("POST", _PATHS["submit_jobs"], body, headers), _Page).jobs

    async def described(self, id: str) -> bytes:
        """Return the JSON of a job, with its answer where it has one."""
        return await self._text("GET", self._path("job", id))

    async def get(self, id: str) -> Job:
        """Return a job, with its answer where it has one."""
        return self._decoded(await self.described(id), Job)

    async def cancel(self, id: str) -> Job:
        """Cancel a job, and return what has become of it."""
        return self._decoded(await self._text("DELETE", self._path("cancel_job", id)), Job)

    async def page(self, limit: int, status: str = "") -> list[Job]:
        """Return the newest jobs, of one status or of every one."""
        query = urlencode({"limit": limit, **({"status": status} if status else {})})
        return self._decoded(await self._text("GET", f"{_PATHS['jobs']}?{query}"), _Page).jobs

    async def follow(self, id: str) -> AsyncGenerator[Job]:
        """Yield the job at each change, until it has ended. A service that ends the stream before is asked again."""
        last = ""
        while True:
            headers = [("last-event-id", last)] if last else []
            decoder = SseDecoder()
            try:
                async with await self._send("GET", self._path("job_events", id), b"", SILENCE_SECONDS, headers) as response:
                    if response.status == 204:  # it has ended, and this event was the last one
                        return
                    async for chunk in response.chunks():
                        for name, text in decoder.feed(chunk):
                            last = decoder.last_id or last
                            if name == "error":
                                raise self._reported(self._decoded(text.encode(), _Failure).error, "")
                            job = self._decoded(text.encode(), Job)
                            yield job
                            if job.has_ended:
                                return
            except HttpError as error:
                raise self._broken(error) from error

    @staticmethod
    def _path(operation: str, id: str) -> str:
        return _PATHS[operation].replace("{id}", quote(id, safe=""))

    async def _text(self, method: str, path: str, body: bytes = b"", headers: Sequence[tuple[str, str]] = ()) -> bytes:
        try:
            async with await self._send(method, path, body, SILENCE_SECONDS, headers) as response:
                return await response.read()
        except HttpError as error:
            raise self._broken(error) from error

    def _decoded(self, text: bytes, kind: type[_Kind]) -> _Kind:
        try:
            return msgspec.json.decode(text, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise self._error("malformed_response", f"{self.base} answered with something else; {NOT_THE_SERVICE}") from None


class _Failure(msgspec.Struct):
    error: ErrorData
