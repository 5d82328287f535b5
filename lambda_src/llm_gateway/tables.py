"""The keys of the tables that components make and functions use, and where the objects of jobs are.

They stand here because a program that imports the components has no AWS client of the functions.
"""

from typing import Final, NamedTuple


class TableKeys(NamedTuple):
    """The attributes by which a table's items are found, and the one by which DynamoDB's TTL deletes them."""

    hash_key: str
    sort_key: str
    ttl_attribute: str


class IndexKeys(NamedTuple):
    """A table's global secondary index: its name, the attributes by which it finds items, and those that it has besides them
    and the table's own key. A change of an item's other attributes does not write the index."""

    name: str
    hash_key: str
    sort_key: str
    included: tuple[str, ...]


CONNECTIONS: Final = TableKeys("id", "", "expires")
JOURNAL: Final = TableKeys("generation", "seq", "expires")
TICKETS: Final = TableKeys("ticket_hash", "", "expires")
LEDGER: Final = TableKeys("holder", "", "expires")
# What callers have used, by days: the only one whose sort key is a text.
USAGE: Final = TableKeys("holder", "slot", "expires")
# How long it is kept: the year before, and some more.
USAGE_KEPT_DAYS: Final = 400

JOBS: Final = TableKeys("job", "", "expires")
# The attributes of a job that the events of its table's stream are made from: whose it is, what it asks, what it is now
# (queued, running, succeeded, failed or cancelled), how many changes that has had (a number; the others are texts), and the
# name of the event that says so, such as "job.started". An image without a change of the status is no event, nor is a return
# from running to queued, unless an operator requeues the job.
JOB_TENANT: Final = "tenant"
JOB_ALIAS: Final = "alias"
JOB_STATUS: Final = "status"
JOB_VERSION: Final = "version"
JOB_EVENT: Final = "event"
# `created` is a text such as 2026-11-30T19:02:44.123Z, so that jobs are listed in the order of time, whatever their ids. It has
# what a list shows of a job, and what every job has; not what each sign of life of a worker changes.
JOBS_BY_OWNER: Final = IndexKeys(
    "by-owner",
    "owner",
    "created",
    (
        *(JOB_ALIAS, JOB_STATUS, "caller", "fingerprint", "expires", JOB_VERSION),
        *("started", "ended", "attempts", "cancel", "error", "usage"),
    ),
)
# The jobs that are queued or running, by whose they are, as `JOB_OPEN` has it: a job that has ended has no such attribute, and
# is not in this index. A caller's are counted by it, and those that got stuck are found in it. Nothing that it has changes
# while a job is open.
JOB_OPEN: Final = "open_owner"
JOBS_OPEN: Final = IndexKeys("open-by-owner", JOB_OPEN, "created", ("expires",))
# How many jobs of a caller may be open.
DEFAULT_JOBS_PER_CALLER: Final = 1_000
# The first event of every job, and that of one which is requeued: its message is what a worker gets.
JOB_ACCEPTED: Final = "job.accepted"
# The source of these events.
JOB_EVENT_SOURCE: Final = "pulumi-llm.jobs"
# Below this are the objects of jobs in their bucket, such as jobs/ID/CREATED-FINGERPRINT/result.json.
JOBS_PREFIX: Final = "jobs/"
# How long jobs and their objects are kept. A bucket's lifecycle deletes at the next midnight (UTC) after so many days, a table
# within days: until then, an expired job is no longer shown.
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/intro-lifecycle-rules.html
JOBS_KEPT_DAYS: Final = 7

# Batches and files are items of the table of jobs, too: `job` is their id, and `owner` that of their caller's jobs with their
# kind. The events of a batch are made as those of a job: `job` is the batch, `status` one of OpenAI's. Every change of a batch
# changes `event`, so that only one that is new has this one.
BATCH_ACCEPTED: Final = "batch.accepted"
# How long an execution of the state machine may work on a batch: the day that it has, the last calls, and the writing of its
# files. What began before the batch expired has ended so long after that.
BATCH_EXECUTION_SECONDS: Final = 28 * 60 * 60
# Below the first are the contents of files, such as files/ID, below the second what a batch is split into, and its results.
FILES_PREFIX: Final = "files/"
BATCHES_PREFIX: Final = "batches/"
# How long files are shown. Their objects are kept for longer, by the time of a batch that a file was named for at its end.
FILES_KEPT_DAYS: Final = JOBS_KEPT_DAYS
# How many batches of a caller may be open, how many requests these may have, and how many files it may upload a day.
DEFAULT_BATCHES_PER_CALLER: Final = 50
DEFAULT_BATCH_REQUESTS_PER_CALLER: Final = 100_000
DEFAULT_FILES_PER_CALLER: Final = 500
# What one read of the table takes: those of a caller that are open are looked up by one.
# https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchGetItem.html
MOST_BATCHES_PER_CALLER: Final = 100
FILE_OBJECTS_KEPT_DAYS: Final = FILES_KEPT_DAYS + 2
