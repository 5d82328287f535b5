"""What is kept of jobs: their items in a table, what they ask and their results in a bucket.

What a job asks is written before its item, so that whoever finds the job finds that, too; and its result before its end.
"""

import msgspec

from llm_gateway import errors
from llm_gateway.aws.dynamodb import DynamoDBError
from llm_gateway.aws.s3 import Bucket, S3Error
from llm_gateway.http.errors import HttpError
from llm_gateway.jobs.job import Job
from llm_gateway.jobs.table import JobTable

# What the table and the bucket raise where they cannot be read or written.
StoreErrors = (DynamoDBError, S3Error, HttpError)


class JobStore(msgspec.Struct, frozen=True):
    """The table and the bucket."""

    table: JobTable
    bucket: Bucket

    async def submit(self, job: Job, asked: bytes) -> Job:
        """Keep a new job, and return it, or the one that the same request has submitted before. Raises the error 409."""
        await self.bucket.put(job.request_key, asked)
        return await self.table.add(job)


def unavailable(error: Exception) -> errors.GatewayError:
    return errors.jobs_unavailable(detail=f"{type(error).__name__}: {error}")
