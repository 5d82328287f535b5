"""Writes an object of S3 whose size is not known before, in parts, so that memory holds one of them.

Each part but the last has 5 MiB at least, and there are 10,000 at most:
https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html
"""

from llm_gateway.aws.s3 import Bucket

PART_BYTES = 8 * 1024 * 1024


class ObjectWriter:
    """Writes one object. Nothing is there until `close` returns; what was written is to be closed or given up.

    The methods raise `S3Error` or `HttpError`.
    """

    def __init__(self, bucket: Bucket, key: str, content_type: str) -> None:
        self._bucket = bucket
        self._key = key
        self._content_type = content_type
        self._upload = ""
        self._etags: list[str] = []
        self._part = bytearray()
        self.size = 0

    async def write(self, content: bytes) -> None:
        self._part += content
        self.size += len(content)
        if len(self._part) >= PART_BYTES:
            await self._send()

    async def close(self) -> None:
        """Make the object, in the place of one with its key."""
        if self._part or not self._etags:
            await self._send()
        await self._bucket.complete_upload(self._key, self._upload, self._etags)
        self._upload = ""

    async def give_up(self) -> None:
        """Delete what was written of an object that is not closed."""
        if self._upload:
            await self._bucket.abort_upload(self._key, self._upload)

    async def _send(self) -> None:
        if not self._upload:
            self._upload = await self._bucket.begin_upload(self._key, self._content_type)
        content, self._part = bytes(self._part), bytearray()
        self._etags.append(await self._bucket.upload_part(self._key, self._upload, len(self._etags) + 1, content))
