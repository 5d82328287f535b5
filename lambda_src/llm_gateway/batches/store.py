"""What is kept of batches: their items and those of files in the table of jobs, and the contents in its bucket.

A content is written before the item that names it, and deleted before it.
"""

import msgspec

from llm_gateway.aws.s3 import Bucket
from llm_gateway.batches.batch import MOST_LINES, Batch
from llm_gateway.batches.file import File
from llm_gateway.batches.files import FileTable
from llm_gateway.batches.table import BatchTable
from llm_gateway.tables import DEFAULT_BATCH_REQUESTS_PER_CALLER, DEFAULT_BATCHES_PER_CALLER, DEFAULT_FILES_PER_CALLER


class BatchStore(msgspec.Struct, frozen=True):
    """The tables, which are one in DynamoDB, and the bucket. Of a caller, `most_open` batches may be open, with `most_requests`
    requests, and `most_files` files may be uploaded a day."""

    batches: BatchTable
    files: FileTable
    bucket: Bucket
    most_open: int = DEFAULT_BATCHES_PER_CALLER
    most_requests: int = DEFAULT_BATCH_REQUESTS_PER_CALLER
    most_files: int = DEFAULT_FILES_PER_CALLER

    async def keep(self, file: File, content: bytes) -> None:
        """Keep a new file. Raises the error 429 where its owner has uploaded too many."""
        await self.files.count(file, self.most_files)
        await self.bucket.put(file.key, content)
        await self.files.add(file)

    async def create(self, batch: Batch, file: File) -> Batch:
        """Create a batch of the requests in a file, and return it, or the one that the same request has created before. Raises
        the error 429 where its owner has too many that have not ended."""
        requests = min(file.lines, MOST_LINES)
        await self.batches.admit(batch, requests, batches=self.most_open, all_requests=self.most_requests)
        return await self.batches.add(batch)

    async def delete(self, file: File) -> None:
        """Delete a file with its content. A batch that still has to read it fails."""
        await self.bucket.delete(file.key)
        await self.files.delete(file)
