"""What the index of jobs has of a job: all that a list shows, and nothing that a running job changes all the time."""

import pytest

from llm_functions.api_formats.jobs import described
from llm_gateway.identity.caller import Caller
from llm_gateway.jobs.job import STATUSES, Job, Status, item_of, job_of
from llm_gateway.tables import JOB_OPEN, JOBS, JOBS_BY_OWNER

CALLER = Caller("shop", "key-1")
HELD = {JOBS.hash_key, JOBS_BY_OWNER.hash_key, JOBS_BY_OWNER.sort_key, *JOBS_BY_OWNER.included}

NOTES = {"lease", "run", "message", "tries", "waits", "due", "redrivable"}


def full(status: Status) -> Job:
    """A job that has a value of each field."""
    return Job(
        id="job_1",
        owner="owner",
        caller=CALLER,
        alias="fast",
        fingerprint="f" * 64,
        created="2026-11-30T19:02:44.123Z",
        expires=1_800_000_000,
        status=status,
        started="2026-11-30T19:02:45.123Z",
        ended="2026-11-30T19:02:46.123Z",
        run="run-1",
        message="message-1",
        lease=1_700_000_000.5,
        attempts=3,
        version=4,
        cancel=True,
        tries=2,
        waits=1,
        due=1_700_000_100.5,
        is_redrivable=True,
        error={"code": "throttled"},
        usage={"input_tokens": 3},
    )


@pytest.mark.parametrize("status", STATUSES)
def test_a_job_in_a_list_is_shown_as_it_is(status: Status) -> None:
    job = full(status)
    item = {name: value for name, value in item_of(job).items() if name in HELD}
    assert described(job_of(item)) == described(job)


def test_what_a_run_notes_of_itself_writes_the_table_alone() -> None:
    assert set(item_of(full("running"))) - HELD == NOTES | {"tenant", "event", JOB_OPEN}


def test_dynamodb_takes_as_many_attributes() -> None:
    """https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_Projection.html"""
    assert len(set(JOBS_BY_OWNER.included)) == len(JOBS_BY_OWNER.included) <= 20
