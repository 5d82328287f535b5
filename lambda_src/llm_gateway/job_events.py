"""The events of jobs and of batches, by their names: what the status of each is then."""

from collections.abc import Mapping
from typing import Final

from llm_gateway.batches import batch
from llm_gateway.jobs import job
from llm_gateway.tables import BATCH_ACCEPTED

STATUS_OF: Final[Mapping[str, str]] = {
    **{job.event_of(status): status for status in job.STATUSES},
    BATCH_ACCEPTED: "validating",
    **{batch.event_of(status): status for status in ("in_progress", *batch.ENDED_BY)},
}
# Those that say that a job or a batch has ended, in the order of the states.
ENDS: Final = (
    *(job.event_of(status) for status in job.STATUSES if status in job.ENDED),
    *(batch.event_of(status) for status in batch.ENDED_BY),
)
