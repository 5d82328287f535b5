"""The calls of S3 that the gateway makes: small objects are written and read as a whole, large ones in parts.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html and API_GetObject.html there. Uploads in parts:
https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpuoverview.html
"""

import asyncio
import random
import re
from collections.abc import Mapping, Sequence
from urllib.parse import quote

from llm_gateway.aws.client import Aws
from llm_gateway.http.client import HttpError, Response

# Attempts in all, and the seconds before the second one at most; each pause may be twice as long as the one before.
_ATTEMPTS = 4
_FIRST_PAUSE = 0.1
# Seconds that an attempt may take, and a call with all its attempts.
_ATTEMPT_SECONDS = 5.0
_CALL_SECONDS = 15.0
# The same for what S3 puts together of parts.
_COMPLETE_SECONDS = 60.0
_JSON = (("content-type", "application/json"),)
_CODE = re.compile(rb"<Code>([A-Za-z0-9]{1,64})</Code>")
_UPLOAD_ID = re.compile(rb"<UploadId>([^<]+)</UploadId>")


class S3Error(Exception):
    """S3 answered with an error. `temporary`: another attempt may succeed; `missing`: there is no such object, which S3 tells
    those alone who may list the bucket.
    https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html
    """

    def __init__(self, code: str, status: int) -> None:
        super().__init__(f"{code} (status {status})")
        self.code = code
        self.missing = code == "NoSuchKey"
        # ConditionalRequestConflict: the same object is being written.
        self.temporary = status >= 500 or status == 429 or code in ("RequestTimeout", "ConditionalRequestConflict")


class Bucket:
    """A client of one bucket. Every method raises `S3Error` or `HttpError`.

    A call that fails for a reason that may pass is made again, so an object may be written twice, with the same content.
    """

    def __init__(self, aws: Aws, name: str) -> None:
        self._aws = aws
        self._base = aws.bucket(name)

    async def put(self, key: str, content: bytes) -> None:
        """Write an object of JSON, in the place of one with its key."""
        await self._call("PUT", key, content, _JSON)

    async def put_new(self, key: str, content: bytes) -> bool:
        """Write an object of JSON, and return whether that was done: not where there is one with its key.

        https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
        """
        try:
            await self._call("PUT", key, content, [*_JSON, ("if-none-match", "*")])
        except S3Error as error:
            if error.code == "PreconditionFailed":
                return False
            raise
        return True

    async def get(self, key: str) -> bytes | None:
        """Return an object, None if there is none."""
        try:
            return await self._call("GET", key, b"", ())
        except S3Error as error:
            if error.missing:
                return None
            raise

    async def exists(self, key: str) -> bool:
        """Whether there is an object, which is not empty, with that key."""
        try:
            await self.get_range(key, 0, 1)
        except S3Error as error:
            if error.missing:
                return False
            raise
        return True

    async def delete(self, key: str) -> None:
        """Delete an object, if there is one."""
        await self._call("DELETE", key, b"", ())

    async def get_range(self, key: str, start: int, end: int) -> bytes:
        """Return the bytes of an object from `start` to before `end`, fewer where it ends before."""
        _, content = await self._request("GET", key, b"", [("range", f"bytes={start}-{end - 1}")])
        return content

    def presigned(self, key: str, seconds: int) -> str:
        """Return a URL by which anybody may read an object for so many seconds, as a file that a browser does not show."""
        query = [("response-content-disposition", "attachment"), ("response-content-type", "application/octet-stream")]
        return self._aws.presigned("s3", self._base, f"/{quote(key, safe='/')}", query, seconds)

    async def begin_upload(self, key: str, content_type: str) -> str:
        """Begin to write an object in parts, and return the id of the upload."""
        _, answer = await self._request("POST", key, b"", [("content-type", content_type)], "uploads=")
        found = _UPLOAD_ID.search(answer)
        if found is None:
            raise S3Error("NoUploadId", 200)
        return found[1].decode()

    async def upload_part(self, key: str, upload: str, number: int, content: bytes) -> str:
        """Write a part, and return its ETag. Parts are numbered from 1; each but the last has 5 MiB at least."""
        headers, _ = await self._request("PUT", key, content, (), f"partNumber={number}&uploadId={quote(upload, safe='')}")
        return headers["etag"]

    async def complete_upload(self, key: str, upload: str, etags: Sequence[str]) -> None:
        """Make the object of its parts. One with its key is replaced."""
        parts = "".join(f"<Part><PartNumber>{n}</PartNumber><ETag>{etag}</ETag></Part>" for n, etag in enumerate(etags, 1))
        content = f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>".encode()
        headers = [("content-type", "application/xml")]
        _, answer = await self._request("POST", key, content, headers, _of(upload), seconds=_COMPLETE_SECONDS)
        if found := _CODE.search(answer):  # an error may follow the status 200
            raise S3Error(found[1].decode(), 500)

    async def abort_upload(self, key: str, upload: str) -> None:
        """Give an upload up: its parts are deleted."""
        await self._request("DELETE", key, b"", (), _of(upload))

    async def _call(self, method: str, key: str, content: bytes, headers: Sequence[tuple[str, str]]) -> bytes:
        _, received = await self._request(method, key, content, headers)
        return received

    async def _request(
        self,
        method: str,
        key: str,
        content: bytes,
        headers: Sequence[tuple[str, str]],
        query: str = "",
        seconds: float = _ATTEMPT_SECONDS,
    ) -> tuple[Mapping[str, str], bytes]:
        loop = asyncio.get_running_loop()
        end = loop.time() + max(_CALL_SECONDS, seconds)
        pauses = [_FIRST_PAUSE * 2**n for n in range(_ATTEMPTS - 1)]
        while True:
            try:
                return await self._attempt(method, key, content, headers, query, seconds, end)
            except (S3Error, HttpError) as error:
                lasting = isinstance(error, S3Error) and not error.temporary
                if lasting or not pauses or loop.time() + pauses[0] > end:
                    raise
            await asyncio.sleep(pauses.pop(0) * random.random())  # noqa: S311  it only distributes load

    async def _attempt(
        self,
        method: str,
        key: str,
        content: bytes,
        headers: Sequence[tuple[str, str]],
        query: str,
        seconds: float,
        deadline: float,
    ) -> tuple[Mapping[str, str], bytes]:
        response: Response = await self._aws.send(
            "s3",
            method,
            self._base,
            f"/{quote(key, safe='/')}",
            content,
            headers,
            query=query,
            response_timeout=seconds,
            read_timeout=seconds,
            deadline=deadline,
        )
        async with response:
            received = await response.read()
        if response.status not in (200, 204, 206):
            found = _CODE.search(received)
            raise S3Error(found[1].decode() if found else "error", response.status)
        return response.headers, received


def _of(upload: str) -> str:
    return f"uploadId={quote(upload, safe='')}"
