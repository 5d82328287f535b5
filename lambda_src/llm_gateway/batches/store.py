"""What is kept of batches: their items and those of files in the table of jobs, and the contents in its bucket.

A content is written before the item that names it, and deleted before it.
"""

import msgspec

from llm_gateway.aws.s3 import Bucket
from llm_gateway.batches.file import File
from llm_gateway.batches.files import FileTable
from llm_gateway.batches.table import BatchTable


class BatchStore(msgspec.Struct, frozen=True):
    """The tables, which are one in DynamoDB, and the bucket."""

    batches: BatchTable
    files: FileTable
    bucket: Bucket

    async def keep(self, file: File, content: bytes) -> None:
        """Keep a new file."""
        await self.bucket.put(file.key, content)
        await self.files.add(file)

    async def delete(self, file: File) -> None:
        """Delete a file with its content. A batch that still has to read it fails."""
        await self.bucket.delete(file.key)
        await self.files.delete(file)
