"""What `pulumi-llm jobs requeue` does with one job, within a test's process."""

import contextlib

from llm_gateway.aws.dynamodb import ConditionFailed
from llm_gateway.jobs import table
from llm_gateway.jobs.job import job_of
from llm_gateway.tables import JOBS
from support.jobs_queue import StandInQueue
from support.jobs_table import TABLE, Table


async def requeue(jobs: Table, queue: StandInQueue, id: str, now: float, since: float) -> None:
    """Queue a job anew, if it is stuck, and have the event of that come to the queue."""
    change = table.requeue(now, since)
    with contextlib.suppress(ConditionFailed):
        item = await jobs.update_item(
            TABLE,
            {JOBS.hash_key: {"S": id}},
            change.expression(),
            condition=" AND ".join(change.conditions),
            names=change.names,
            values=change.values,
        )
        queue.send(id, job_of(item).version)
