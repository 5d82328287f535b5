"""Requests that come to the function's own URL, from CloudFront, and not through API Gateway.

CloudFront signs them (origin access control), so Lambda lets nobody else call. No authorizer has checked the API key, so it is
checked here. Only Lambda writes the request context, by which the two ways are told apart; the adapter replaces a header of
that name that a caller sends.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from llm_gateway import errors
from llm_gateway.http.errors import HttpError
from llm_gateway.identity.caller import Caller, is_key, key_hash
from llm_gateway.operations import OPERATIONS, Operation

if TYPE_CHECKING:
    from llm_gateway.identity.keys import KeyStore

_CHAT_STREAM = next(operation for operation in OPERATIONS if operation.id == "chat_stream")


def is_function_url(context: Mapping[str, Any]) -> bool:
    """Tell whether a request context is that of a function URL. A REST API's has no `http`.

    https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html#urls-payloads
    """
    return "http" in context


def operations(path: str) -> Mapping[str, Operation]:
    """Return the operations of a path by their methods. A function URL serves the stream alone, below whatever path the CDN
    has."""
    return {_CHAT_STREAM.method: _CHAT_STREAM} if path.endswith(_CHAT_STREAM.path) else {}


async def caller(headers: Mapping[bytes, bytes], keys: "KeyStore | None") -> Caller:
    """Return the caller whose API key is in ``x-api-key``: Authorization holds CloudFront's signature.

    Without the table of keys nobody is known. Raises the errors 401, and 500 if the table cannot be read.
    """
    key = headers.get(b"x-api-key", b"").decode(errors="replace").strip()
    if not key or keys is None:
        raise errors.missing_api_key()
    if not is_key(key):
        raise errors.invalid_api_key()
    from llm_gateway.aws.dynamodb import DynamoDBError  # with a table only

    try:
        found = await keys.find(key_hash(key))
    except (DynamoDBError, HttpError) as error:
        raise errors.authorizer_failed(detail=str(error)) from error
    if found is None:
        raise errors.invalid_api_key()
    return found
