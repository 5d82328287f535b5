"""The entry point `authorizer`: API Gateway's REQUEST authorizer, on every transport.

https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-use-lambda-authorizer.html
"""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

from llm_functions.request_context import caller_context
from llm_gateway import environment
from llm_gateway.errors import QUOTA_RESET
from llm_gateway.http.client import HttpClient
from llm_gateway.identity.caller import Caller, Credential, is_key, key_hash, presented_key, presented_ticket, presented_token

if TYPE_CHECKING:  # tokens are checked without it
    from llm_gateway.aws.dynamodb import DynamoDB
    from llm_gateway.identity.keys import KeyStore

# Returns the key or token of a request (None: it has a ticket), its caller, and what of it can be checked again; None if it is
# missing or wrong.
Check = Callable[[Mapping[str, str]], Awaitable[tuple[str | None, Caller, Credential] | None]]


def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Return the policy and the context of a known caller.

    If the credentials are missing or wrong, it raises the one exception text for which API Gateway answers 401. For any other
    exception (the table or the issuer's keys cannot be read) API Gateway answers 500.
    """
    known = None if _repeats_authorization(event) else _loop.run_until_complete(_check(event.get("headers") or {}))
    if known is None:
        raise Exception("Unauthorized")
    presented, caller, credential = known
    return _allow(presented, caller, credential, event["methodArn"])


def _allow(presented: str | None, caller: Caller, credential: Credential, method_arn: str) -> dict[str, Any]:
    # arn:aws:execute-api:region:account:api/stage/METHOD/path. The policy covers the whole stage, for API Gateway caches it for
    # all routes.
    stage = "/".join(method_arn.split("/")[:2])
    answer: dict[str, Any] = {
        "principalId": caller.key or caller.tenant,
        "policyDocument": {
            "Version": "2012-10-17",
            "Statement": [{"Action": "execute-api:Invoke", "Effect": "Allow", "Resource": f"{stage}/*"}],
        },
        "context": caller_context(caller, credential),
    }
    if presented is not None and os.environ[environment.AUTHORIZATION] == "api_key":
        answer["usageIdentifierKey"] = presented  # the usage plan counts requests by it
        answer["context"][QUOTA_RESET] = _next_day(time.time())
    return answer


def _next_day(now: float) -> str:
    """Return when the day of a quota ends, 00:00 UTC, as an HTTP date. API Gateway may cache the answer: a date stays true
    until then, and is past after that, so that nobody waits for too long."""
    return time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime((now // 86_400 + 1) * 86_400))


def _repeats_authorization(event: Mapping[str, Any]) -> bool:
    """Tell whether a request has several Authorization headers: nothing says by which of them API Gateway caches the answer."""
    headers: Mapping[str, str] = event.get("headers") or {}
    several: Mapping[str, list[str]] = event.get("multiValueHeaders") or {name: [headers[name]] for name in headers}
    return sum(len(values) for name, values in several.items() if name.lower() == "authorization") > 1


def _checks() -> Check:
    return _check_tokens() if os.environ[environment.AUTHORIZATION] == "jwt" else _check_keys()


def _check_tickets_or(check_others: Check, table: str) -> Check:
    from llm_gateway.identity.tickets import TicketTable

    tickets = TicketTable(_dynamodb(), table)
    still_valid = _ticket_check()

    async def check(headers: Mapping[str, str]) -> tuple[str | None, Caller, Credential] | None:
        ticket = presented_ticket(headers)
        if ticket is None:
            return await check_others(headers)
        issued = await tickets.redeem(ticket)
        return (None, *issued) if issued is not None and await still_valid(issued[1]) else None

    return check


def _ticket_check() -> Callable[[Credential], Awaitable[bool]]:
    """Return what says whether the credential that a ticket was issued for is one of this API's, and still lets in."""
    if os.environ[environment.AUTHORIZATION] == "jwt":

        async def is_token(credential: Credential) -> bool:
            return not credential.key_hash  # a ticket does not outlive its token

        return is_token
    keys = _keys()

    async def is_known_key(credential: Credential) -> bool:
        return bool(credential.key_hash) and await keys.find(credential.key_hash) is not None

    return is_known_key


def _keys() -> "KeyStore":
    from llm_gateway.identity.keys import KeyStore

    websocket = os.environ.get(environment.FOR_WEBSOCKET) == "true"
    return KeyStore(_dynamodb(), os.environ[environment.KEYS_TABLE], clock=time.monotonic, websocket=websocket)


def _check_keys() -> Check:
    keys = _keys()

    async def check(headers: Mapping[str, str]) -> tuple[str | None, Caller, Credential] | None:
        key = presented_key(headers)
        if key is None or not is_key(key):
            return None
        hashed = key_hash(key)
        caller = await keys.find(hashed)
        return (key, caller, Credential(key_hash=hashed)) if caller else None

    return check


def _check_tokens() -> Check:
    from llm_gateway.identity.jwt import TokenVerifier, accepted_until

    verifier = TokenVerifier(
        _client,
        issuer=os.environ[environment.JWT_ISSUER],
        audiences=os.environ[environment.JWT_AUDIENCES].split(","),
        tenant_claim=os.environ[environment.JWT_TENANT_CLAIM],
        models_claim=os.environ.get(environment.JWT_MODELS_CLAIM),
        clock=time.time,
        warn=_warn,
    )

    async def check(headers: Mapping[str, str]) -> tuple[str | None, Caller, Credential] | None:
        token = presented_token(headers)
        caller = await verifier.caller(token) if token else None
        return (token, caller, Credential(expires=accepted_until(token))) if token and caller else None

    return check


def _warn(text: str) -> None:
    from llm_gateway.telemetry import write_warning  # slow to import, and seldom needed

    write_warning(text)


def _dynamodb() -> "DynamoDB":
    from llm_gateway.aws.client import Aws
    from llm_gateway.aws.dynamodb import DynamoDB

    return DynamoDB(Aws(_client))


# Made when the environment starts, so that a wrong configuration fails there. One loop serves all events and keeps connections.
_loop = asyncio.new_event_loop()
_client = HttpClient()
_table = os.environ.get(environment.TICKETS_TABLE)
_check = _check_tickets_or(_checks(), _table) if _table else _checks()
