"""The table of jobs within a test's process: moto's, without a server, and a bucket that is a dictionary."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from llm_gateway.aws.dynamodb import Item
from llm_gateway.aws.s3 import Bucket, S3Error
from llm_gateway.batches.batch import ENDED as ENDED_BATCHES
from llm_gateway.jobs.job import ENDED as ENDED_JOBS
from llm_gateway.tables import JOB_OPEN, JOBS, JOBS_BY_OWNER, JOBS_OPEN
from support.moto_table import MotoTable, plain

TABLE, BUCKET = "the-jobs", "the-jobs-bucket"
ATTRIBUTES = (JOBS.hash_key, JOBS_BY_OWNER.hash_key, JOBS_BY_OWNER.sort_key, JOB_OPEN)
INDEXES = [
    {
        "IndexName": index.name,
        "KeySchema": [
            {"AttributeName": index.hash_key, "KeyType": "HASH"},
            {"AttributeName": index.sort_key, "KeyType": "RANGE"},
        ],
        "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": list(index.included)},
    }
    for index in (JOBS_BY_OWNER, JOBS_OPEN)
]


class Table(MotoTable):
    """A client of the table. Where `loses` is set, the answer to the next write is lost, so the client makes it again.

    `ends` counts how often each job has ended.
    """

    def __init__(self) -> None:
        self.loses = False
        self.ends: Counter[str] = Counter()
        super().__init__(TABLE, {JOBS.hash_key: ("HASH", "S")}, dict.fromkeys(ATTRIBUTES[1:], "S"), INDEXES)

    def ids(self) -> set[str]:
        """Return the ids of all jobs, expired ones, too."""
        return {plain(item)[JOBS.hash_key]["S"] for item in self.backend.get_table(TABLE).all_items()}

    async def put_item(self, table: str, item: Item, **more: Any) -> None:
        for _ in range(self._times()):
            await super().put_item(table, item, **more)

    async def update_item(self, table: str, key: Item, update: str, **more: Any) -> Item:
        item: Item = {}
        for _ in range(self._times()):
            before = await self.get_item(table, key)
            item = await super().update_item(table, key, update, **more)
            self.ends[key[JOBS.hash_key]["S"]] += _is_ended(item) and not _is_ended(before)
        return item

    def _times(self) -> int:
        times, self.loses = 2 if self.loses else 1, False
        return times


def _is_ended(item: Item | None) -> bool:
    return item is not None and item.get("status", {}).get("S") in ENDED_JOBS | ENDED_BATCHES


class Objects(Bucket):
    """A bucket. `uploads` are those in parts that are neither completed nor given up; nothing with `denied` in its key may be
    read."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}
        self.uploads: dict[str, list[bytes]] = {}
        self.denied: str | None = None

    def _check(self, key: str) -> None:
        if self.denied is not None and self.denied in key:
            raise S3Error("AccessDenied", 403)

    async def put(self, key: str, content: bytes) -> None:
        self.kept[key] = content

    async def put_new(self, key: str, content: bytes) -> bool:
        return self.kept.setdefault(key, content) is content

    async def get(self, key: str) -> bytes | None:
        self._check(key)
        return self.kept.get(key)

    async def delete(self, key: str) -> None:
        self.kept.pop(key, None)

    async def get_range(self, key: str, start: int, end: int) -> bytes:
        self._check(key)
        if key not in self.kept:
            raise S3Error("NoSuchKey", 404)
        return self.kept[key][start:end]

    def presigned(self, key: str, seconds: int) -> str:
        return f"https://the-bucket.example.com/{key}?{seconds}"

    async def begin_upload(self, key: str, content_type: str) -> str:
        self.uploads[upload := f"{content_type}-{len(self.uploads)}"] = []
        return upload

    async def upload_part(self, key: str, upload: str, number: int, content: bytes) -> str:
        self.uploads[upload].append(content)
        assert len(self.uploads[upload]) == number
        return f'"{number}"'

    async def complete_upload(self, key: str, upload: str, etags: Sequence[str]) -> None:
        assert list(etags) == [f'"{n}"' for n in range(1, len(self.uploads[upload]) + 1)]
        self.kept[key] = b"".join(self.uploads.pop(upload))

    async def abort_upload(self, key: str, upload: str) -> None:
        if self.uploads.pop(upload, None) is None:
            raise S3Error("NoSuchUpload", 404)
