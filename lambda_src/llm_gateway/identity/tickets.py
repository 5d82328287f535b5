"""The table of tickets: a known caller gets one over HTTP, and connects a WebSocket with it once, within `LIFE_SECONDS`.

So the key of an application's server never reaches its users' browsers. A ticket is 256 random bits in base64url, and the table
has its SHA-256 only, with the caller and the credential that it was issued for.
"""

import re
import secrets
import time
from collections.abc import Callable

from llm_gateway import errors
from llm_gateway.aws.dynamodb import DynamoDB
from llm_gateway.identity.caller import Caller, Credential, identified, identity_item, key_hash
from llm_gateway.tables import TICKETS

HASH_KEY, _, TTL_ATTRIBUTE = TICKETS

LIFE_SECONDS = 30
# 256 bits in base64url without padding.
_TICKET = re.compile(r"[A-Za-z0-9_-]{43}")


class TicketTable:
    """The table. Its methods raise `DynamoDBError` or `HttpError`. `clock` gives seconds since the epoch."""

    def __init__(self, dynamodb: DynamoDB, table: str, clock: Callable[[], float] = time.time) -> None:
        self._dynamodb = dynamodb
        self._table = table
        self._clock = clock

    async def issue(self, caller: Caller, credential: Credential) -> tuple[str, int]:
        """Return a new ticket, and for how many seconds it is valid: never longer than the token that it is issued for.

        Raises the error 401 if that token has expired: API Gateway may still trust what an authorizer said of it.
        """
        now = int(self._clock())
        expires = now + LIFE_SECONDS
        if credential.expires:
            expires = min(expires, credential.expires)
        if expires <= now:
            raise errors.invalid_api_key()
        ticket = secrets.token_urlsafe(32)
        kept = {HASH_KEY: {"S": key_hash(ticket)}, TTL_ATTRIBUTE: {"N": str(expires)}}
        await self._dynamodb.put_item(self._table, {**kept, **identity_item(caller, credential)})
        return ticket, expires - now

    async def redeem(self, ticket: str) -> tuple[Caller, Credential] | None:
        """Take a ticket away. Return who it was issued to, and for what credential; None if it is unknown, used or too old.

        DynamoDB gives a deleted item to one deletion only. If its answer is lost, the second attempt finds nothing: then the
        client needs another ticket.
        """
        if _TICKET.fullmatch(ticket) is None:
            return None
        item = await self._dynamodb.delete_item(self._table, {HASH_KEY: {"S": key_hash(ticket)}})
        # TTL deletes late, within a few days. https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/TTL.html
        if item is None or int(item[TTL_ATTRIBUTE]["N"]) <= self._clock():
            return None
        return identified(item)
