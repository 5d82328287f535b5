"""A request that names its key is answered once, however often its client sends it.

The journal has one generation for each key of a caller. A request claims its key by one conditional write, at the same time as
the ledger reserves its call, so that it waits for one of the two. Where the key is claimed already, nothing is called:

- the same request has been answered: the answer is sent again, as it was
- a whole answer is under way: the error 409 `in_progress`; the client asks again later
- a streamed answer is under way: the journal has what has come of it, and is followed
- another request has that key: the error 409 `idempotency_key_reused`

Answers are kept, and errors are not: a failed request gives its key back, and is answered anew when it is sent again. So does
one whose function died, once its deadline is over. A stream that failed after its beginning keeps what it sent, for a client
that resumes it, until the request is sent anew.

Of requests with one key that come at the same time, each reserves its call for some milliseconds, until it knows whose the key
is. If the table cannot be written, no call is made: it might be the second one.
"""

import asyncio
import hashlib
import re
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from llm_gateway import errors
from llm_gateway.aws.dynamodb import DynamoDB, DynamoDBError
from llm_gateway.errors import AnsweredBefore, Problem
from llm_gateway.http.errors import HttpError
from llm_gateway.identity.caller import Caller
from llm_gateway.stages.journal import TTL_SECONDS, Head, Journal, Superseded

if TYPE_CHECKING:
    from llm_gateway.call import ModelCall
    from llm_gateway.embeddings import EmbeddingCall
    from llm_gateway.stages.ledger import Reservation

# Seconds for which a whole answer is sent again. That of a stream is kept as long as any stream can be resumed.
WHOLE_SECONDS = 24 * 60 * 60
# Of a header's value: letters, digits and punctuation of ASCII.
_KEY = re.compile(r"[\x21-\x7e]([\x20-\x7e]{0,253}[\x21-\x7e])?")
# Seconds after its deadline at which a function is over in any case, whatever the clocks of two machines say.
_MARGIN_SECONDS = 5.0
# The most seconds that a repetition of a request under way is told to wait. It waits about as long as the request has run.
_LONGEST_WAIT = 30.0
# A whole answer is kept in parts of so many characters, each an item, which may have 400 KB; a character has 4 bytes at most.
_PART_CHARACTERS = 80_000
# The largest answer that is kept. Its parts share a partition of the table, which takes 1,000 units of 1 KB a second; a table
# that has not been used for a while may take no more than that in all.
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/bp-partition-key-design.html
_MOST_BYTES = 1_000_000


class Idempotency:
    """The keys of requests. `warn` is told what cannot be kept. `clock` gives seconds since the epoch."""

    def __init__(
        self, dynamodb: DynamoDB, table: str, warn: Callable[[str], None], *, clock: Callable[[], float] = time.time
    ) -> None:
        self._streams = Journal(dynamodb, table, clock, ttl_seconds=TTL_SECONDS)
        self._answers = Journal(dynamodb, table, clock, ttl_seconds=WHOLE_SECONDS)
        self._warn = warn
        self._clock = clock

    def claim(
        self, key: str, caller: Caller, request_id: str, asked: Sequence[Any], deadline: float, *, stream: bool, since: int = 0
    ) -> "Claim":
        """Return what claims a key for a request.

        Args:
            asked: What the request asks for: two are the same if this is.
            deadline: A time of the running loop's clock.
            since: The last event that the client has of a stream; with it, nothing is begun.

        Raises:
            GatewayError: The error 400 of a key that has not the right form.
        """
        check_key(key)
        left = deadline - asyncio.get_running_loop().time()
        return Claim(
            self._streams if stream else self._answers,
            _digest([caller.tenant, caller.key, key]),
            request_id,
            _digest(asked),
            self._clock() + left + _MARGIN_SECONDS,
            stream,
            since,
            self._warn,
            self._clock,
        )


def check_key(key: str) -> None:
    """Raise the error 400 of a key that has not the right form."""
    if not _KEY.fullmatch(key):
        form = "must be 1 to 255 characters of printable ASCII, such as a UUID, without spaces around it"
        raise errors.invalid_request([Problem("Idempotency-Key", form)])


class Claim:
    """The claim of one request. When the key is its own, `claimed` is set, and `head` is that of its generation.

    `since` is the last event that the client has of a stream.
    """

    def __init__(
        self,
        journal: Journal,
        key: str,
        run: str,
        fingerprint: str,
        deadline: float,
        stream: bool,
        since: int,
        warn: Callable[[str], None],
        clock: Callable[[], float],
    ) -> None:
        self.journal = journal
        self.since = since
        self.head: Head | None = None
        self.claimed = asyncio.Event()
        self._key = key
        self._run = run
        self._fingerprint = fingerprint
        self._deadline = deadline
        self._stream = stream
        self._warn = warn
        self._clock = clock

    def beside(self, reservation: "Reservation | None") -> "Beside":
        """Return what admits the calls of the request: its first one when the key is its own and the ledger has room."""
        return Beside(self, reservation)

    async def take(self) -> None:
        """Claim the key.

        Raises:
            AnsweredBefore: The same request has had it before. Its `answer` is the head of the generation.
            GatewayError: 409 if another request has had it, or this one's whole answer is under way; 404 if there is nothing to
                resume; 503 if the table cannot be written.
        """
        try:
            if self.since:
                known, is_new = await self.journal.head(self._key), False
            else:
                known, is_new = await self.journal.claim(self._key, self._run, self._fingerprint, self._deadline)
        except (DynamoDBError, HttpError) as error:
            raise errors.idempotency_unavailable(detail=f"{type(error).__name__}: {error}") from error
        if known is None:
            raise errors.nothing_to_resume()
        if is_new:
            self.head = known
            self.claimed.set()
            return
        if known.fingerprint != self._fingerprint:
            raise errors.idempotency_key_reused(param="Idempotency-Key")
        if known.status == "running" and not self._stream:
            raise errors.in_progress(retry_after=min(max(1.0, self._clock() - known.began), _LONGEST_WAIT))
        raise AnsweredBefore(known)

    async def keep(self, headers: Sequence[tuple[str, str]], body: bytes) -> None:
        """Keep a whole answer; of one that is too large, that there was one.

        If that fails, the answer is sent nevertheless, and the key is free again after the deadline.
        """
        if self.head is None:
            return
        try:
            await self.journal.write(self.head, _lines(headers, body), ended=True)
        except (DynamoDBError, HttpError, Superseded) as error:
            self._warn(f"an answer is not kept: {type(error).__name__}: {error}")

    async def kept(self, head: Head) -> tuple[list[tuple[str, str]], bytes]:
        """Return the headers and the body of a whole answer that was kept.

        Raises the error 409 if it was too large, and 503 if the table cannot be read.
        """
        if not head.last:
            raise errors.answer_not_kept()
        try:
            headers, *parts = await self.journal.read(head, 0)
        except (DynamoDBError, HttpError) as error:
            raise errors.idempotency_unavailable(detail=f"{type(error).__name__}: {error}") from error
        return msgspec.json.decode(headers, type=list[tuple[str, str]]), b"".join(parts)

    async def release(self) -> None:
        """Give the key back, because the request has failed."""
        if self.head is None:
            return
        try:
            await self.journal.withdraw(self.head)
        except (DynamoDBError, HttpError) as error:
            self._warn(f"a key is not given back: {type(error).__name__}: {error}")


class Beside:
    """Admits calls: the first one by two writes at once, of the key and of the ledger."""

    def __init__(self, claim: Claim, reservation: "Reservation | None") -> None:
        self._claim = claim
        self._reservation = reservation
        self._is_claimed = False

    async def admit(self, call: "ModelCall | EmbeddingCall") -> None:
        reservation = self._reservation
        if self._is_claimed:
            if reservation is not None:
                await reservation.admit(call)
            return
        self._is_claimed = True
        if reservation is None or self._claim.since:
            await self._claim.take()
            return
        claimed, reserved = await asyncio.gather(self._claim.take(), reservation.admit(call), return_exceptions=True)
        if claimed is not None:
            if reserved is None:
                await reservation.withdraw()
            raise claimed
        if reserved is not None:
            raise reserved


def _lines(headers: Sequence[tuple[str, str]], body: bytes) -> list[bytes]:
    """Return what is kept of a whole answer; nothing of one that is too large."""
    if len(body) > _MOST_BYTES:
        return []
    text = body.decode()
    parts = [text[at : at + _PART_CHARACTERS].encode() for at in range(0, len(text), _PART_CHARACTERS)]
    return [msgspec.json.encode(headers), *parts]


def _digest(value: Sequence[Any]) -> str:
    return hashlib.sha256(msgspec.json.encode(value, order="sorted")).hexdigest()
