"""Counts what callers have used, from the records of their requests (`telemetry.Record`) in the log.

CloudWatch Logs delivers a record at least once, and Lambda may hand a batch of them over again. So each record leaves a mark
under the id of its log event, in the same transaction in which it is counted: a record that has one is counted already.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis.html
"""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Annotated, Any

import msgspec

from llm_gateway.accounts import caller_holder, tenant_holder
from llm_gateway.aws.dynamodb import DynamoDB, Item, TransactionCanceled, Update
from llm_gateway.identity.caller import Caller
from llm_gateway.tables import USAGE, USAGE_KEPT_DAYS
from llm_gateway.usage_counts import ALIAS, AS_OF, TARGET, key, part_of

# A transaction has at most so many writes, each of another item.
# https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html
_MOST_WRITES = 100
# How long a mark is kept: an event that could not be written waits for up to 14 days in a queue of dead letters.
_MARK_SECONDS = 15 * 86_400
# Attempts of a transaction that meets others at an item, and the most seconds before the next.
_ATTEMPTS, _LONGEST_PAUSE = 10, 1.0
_CONDITION_FAILED = "ConditionalCheckFailed"

_Tokens = Annotated[int, msgspec.Meta(ge=0, le=10**12)]


class UsageRecord(msgspec.Struct, frozen=True):
    """What is counted of a record. A request that was refused before a target was asked has no `target`."""

    tenant: str
    api_key: str
    alias: str = msgspec.field(name="gen_ai.request.model")
    target: str = ""
    error: str = msgspec.field(name="error.type", default="")
    input_tokens: _Tokens = msgspec.field(name="gen_ai.usage.input_tokens", default=0)
    output_tokens: _Tokens = msgspec.field(name="gen_ai.usage.output_tokens", default=0)
    cached_tokens: _Tokens = msgspec.field(name="gen_ai.usage.cache_read.input_tokens", default=0)
    failed_input_tokens: _Tokens = msgspec.field(name="failed_attempts.input_tokens", default=0)
    failed_output_tokens: _Tokens = msgspec.field(name="failed_attempts.output_tokens", default=0)
    cost_usd: Annotated[float, msgspec.Meta(ge=0, le=10**9)] | None = None
    cache_status: str = msgspec.field(name="cache.status", default="")

    def counts(self) -> Counter[str]:
        """What it adds to each measure."""
        used = self.input_tokens + self.failed_input_tokens, self.output_tokens + self.failed_output_tokens
        return Counter(
            requests=1,
            errors=int(bool(self.error)),
            cache_hits=int(self.cache_status == "hit"),
            input_tokens=used[0],
            output_tokens=used[1],
            cached_tokens=self.cached_tokens,
            micro_usd=round((self.cost_usd or 0) * 1_000_000),
            unpriced_requests=int(self.cost_usd is None and sum(used) > 0),
        )


class Counted(msgspec.Struct, frozen=True):
    """A record with the id of its log event and its day, such as 2026-11-30, in UTC."""

    id: str
    day: str
    record: UsageRecord


class UsageWriter:
    """The table. `warn` is told what cannot be read. `clock` gives seconds since the epoch."""

    def __init__(
        self, dynamodb: DynamoDB, table: str, warn: Callable[[str], None], *, clock: Callable[[], float] = time.time
    ) -> None:
        self._dynamodb = dynamodb
        self._table = table
        self._warn = warn
        self._clock = clock

    async def write(self, source: str, log_events: Iterable[Mapping[str, Any]]) -> None:
        """Count the records of a batch of log events, each once.

        What cannot be read is left out. Raises `DynamoDBError` or `HttpError`: then the same batch has to come again, and what
        has been counted of it is known.

        Args:
            source: Where the batch comes from: batches of other sources may be written at the same time.
        """
        part = part_of(source)
        batch: list[Counted] = []
        keys: set[str] = set()
        for counted in {each.id: each for each in self._read(log_events)}.values():
            more = {str(each) for each in _keys(counted, part)}
            if len(batch) + 1 + len(keys | more) > _MOST_WRITES:
                await self._add(batch, part)
                batch, keys = [], set[str]()
            batch.append(counted)
            keys |= more
        await self._add(batch, part)

    def _read(self, log_events: Iterable[Mapping[str, Any]]) -> Iterable[Counted]:
        for event in log_events:
            try:
                record = _decode(event["message"])
                day = time.strftime("%Y-%m-%d", time.gmtime(event["timestamp"] / 1000))
                if record.target:
                    yield Counted(event["id"], day, record)
            except (msgspec.MsgspecError, ArithmeticError, KeyError, OSError, TypeError, ValueError) as error:
                self._warn(f"a record is not counted: {type(error).__name__}")

    async def _add(self, batch: Sequence[Counted], part: int) -> None:
        """Count records in one transaction. Those that have a mark are left out of it."""
        attempts = 0
        while batch:
            try:
                await self._dynamodb.transact_write(self._writes(batch, part))
                return
            except TransactionCanceled as canceled:
                # What is counted already; among it may be all, where the answer to this very transaction was lost.
                known = [reason == _CONDITION_FAILED for reason in canceled.reasons[: len(batch)]]
                if any(known):
                    batch = [each for each, is_known in zip(batch, known, strict=True) if not is_known]
                    continue
                attempts += 1
                if not canceled.temporary or attempts == _ATTEMPTS:
                    raise
            await asyncio.sleep(_LONGEST_PAUSE * random.random())  # noqa: S311

    def _writes(self, batch: Sequence[Counted], part: int) -> list[dict[str, Any]]:
        """The writes of a transaction: first a mark for each record, then what is added to items."""
        now = int(self._clock())
        writes: list[dict[str, Any]] = [
            {
                "Put": {
                    "TableName": self._table,
                    "Item": {**_mark(each), USAGE.ttl_attribute: {"N": str(now + _MARK_SECONDS)}},
                    "ConditionExpression": "attribute_not_exists(#key)",
                    "ExpressionAttributeNames": {"#key": USAGE.hash_key},
                }
            }
            for each in batch
        ]
        sums: dict[str, tuple[Item, UsageRecord, Counter[str]]] = {}
        for each in batch:
            counts = each.record.counts()
            for item in _keys(each, part):
                _, _, summed = sums.setdefault(str(item), (item, each.record, Counter()))
                summed.update(counts)
        return [*writes, *(self._addition(*each, now) for each in sums.values())]

    def _addition(self, item: Item, record: UsageRecord, counts: Counter[str], now: int) -> dict[str, Any]:
        update = Update()
        for measure, count in counts.items():
            if count:
                update.adds.append(f"{update.name(measure)} {update.value('N', str(count))}")
        texts = {ALIAS: ("S", record.alias), TARGET: ("S", record.target)}
        numbers = {AS_OF: ("N", str(now)), USAGE.ttl_attribute: ("N", str(now + USAGE_KEPT_DAYS * 86_400))}
        for name, (kind, value) in {**texts, **numbers}.items():
            update.sets.append(f"{update.name(name)} = {update.value(kind, value)}")
        return {
            "Update": {
                "TableName": self._table,
                "Key": item,
                "UpdateExpression": update.expression(),
                "ExpressionAttributeNames": update.names,
                "ExpressionAttributeValues": update.values,
            }
        }


def _mark(counted: Counted) -> Item:
    """The key of a record's mark. No caller and no tenant has such a holder."""
    return {USAGE.hash_key: {"S": _encode(["log-event", counted.id]).decode()}, USAGE.sort_key: {"S": "-"}}


def _keys(counted: Counted, part: int) -> Sequence[Item]:
    """The keys of the items that a record is added to: its caller's and its tenant's."""
    record = counted.record
    caller = Caller(record.tenant, record.api_key)
    holders = caller_holder(caller), tenant_holder(caller)
    return [key(holder, counted.day, part, record.alias, record.target) for holder in holders]


_decode = msgspec.json.Decoder(UsageRecord).decode
_encode = msgspec.json.Encoder().encode
