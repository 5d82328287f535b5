"""What is kept of jobs: their items in a table, what they ask and their results in a bucket.

What a job asks is written before its item, so that whoever finds the job finds that, too; and its result before its end.
"""

import asyncio
from collections.abc import Sequence

import msgspec

from llm_gateway import errors
from llm_gateway.aws.dynamodb import DynamoDBError
from llm_gateway.aws.s3 import Bucket, S3Error
from llm_gateway.http.errors import HttpError
from llm_gateway.jobs.job import Job
from llm_gateway.jobs.table import JobTable
from llm_gateway.tables import DEFAULT_JOBS_PER_CALLER

# Jobs of one request that are written at once.
_AT_ONCE = 16
# Seconds between the attempts to write an answer, the first ones and the later ones. Each makes some calls of its own.
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 30.0
# What the table and the bucket raise where they cannot be read or written.
StoreErrors = (DynamoDBError, S3Error, HttpError)


class JobStore(msgspec.Struct, frozen=True):
    """The table and the bucket. `most_open` is how many jobs of a caller may be queued or running."""

    table: JobTable
    bucket: Bucket
    most_open: int = DEFAULT_JOBS_PER_CALLER

    async def submit(self, jobs: Sequence[Job], asked: Sequence[bytes], *, has_key: bool) -> tuple[list[Job], bool]:
        """Keep the new jobs of one request. Raises the errors 409 and 429, and has kept nothing then.

        The first job holds the idempotency key for all of them. If it is there already, what is missing of the others is added
        to it, and ends with it.

        Args:
            asked: What each of them asks.
            has_key: The request has an idempotency key, so it may have been sent before.

        Returns:
            The jobs, those of the same request as they are now; and whether all of them were there before.
        """
        known = await self.table.submitted(jobs[0]) if has_key else None
        if known is None:  # else its jobs are open already
            await self._admit(jobs)
        first, was_kept = (known, True) if known is not None else await self._keep(jobs[0], asked[0])
        others = [msgspec.structs.replace(job, created=first.created, expires=first.expires) for job in jobs[1:]]
        places = asyncio.Semaphore(_AT_ONCE)

        async def keep(job: Job, content: bytes) -> tuple[Job, bool]:
            async with places:
                if has_key and (known := await self.table.submitted(job)) is not None:
                    return known, True
                return await self._keep(job, content)

        kept = await asyncio.gather(*map(keep, others, asked[1:]), return_exceptions=True)  # none goes on after an error
        found = [(first, was_kept)]
        for each in kept:
            if isinstance(each, BaseException):
                raise each
            found.append(each)
        return [job for job, _ in found], all(is_known for _, is_known in found)

    async def _admit(self, jobs: Sequence[Job]) -> None:
        """Raise the error 429 if the caller's open jobs would be too many with these ones.

        They are counted, and not reserved: requests at the same moment do not know of each other's jobs. So what jobs are open
        is told by the jobs alone, however they end, and there is no second number that could differ.
        """
        most = self.most_open - len(jobs)
        if most < 0 or await self.table.count_open(jobs[0].owner, most) > most:
            raise errors.too_many_jobs(most=self.most_open, number=len(jobs))

    async def _keep(self, job: Job, asked: bytes) -> tuple[Job, bool]:
        await self.bucket.put_new(job.request_key, asked)
        kept = await self.table.add(job)
        return kept, kept is not job


async def put_answer(bucket: Bucket, key: str, content: bytes, deadline: float) -> bool:
    """Write an answer as `Bucket.put_new` does, until that succeeds: it is paid for, and another one would be, too.

    Args:
        deadline: A time of the running loop's clock. Raises one of `StoreErrors`, the last one, where it has not succeeded by
            then.
    """
    pause = _FIRST_PAUSE
    while True:
        try:
            return await bucket.put_new(key, content)
        except StoreErrors:
            if asyncio.get_running_loop().time() + pause >= deadline:
                raise
        await asyncio.sleep(pause)
        pause = min(pause * 2, _LONGEST_PAUSE)


def unavailable(error: Exception) -> errors.GatewayError:
    return errors.jobs_unavailable(detail=f"{type(error).__name__}: {error}")
