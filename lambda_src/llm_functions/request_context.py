"""The caller in API Gateway's request context: as the authorizer writes it there, and as the functions read it.

https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-proxy-integrations.html
"""

from typing import Any, Literal, cast

import msgspec

from llm_gateway.errors import authorizer_failed, missing_api_key
from llm_gateway.identity.caller import CONNECTIONS, EXPIRES, KEY, KEY_HASH, MODELS, TENANT, Caller, Credential

# What the context says of the aliases allowed, as JSON: that all are, or their names.
_Models = Literal["all"] | tuple[str, ...]
_decode_models = msgspec.json.Decoder(_Models).decode
_encode = msgspec.json.Encoder().encode


def caller_context(caller: Caller, credential: Credential) -> dict[str, str]:
    """The context that the authorizer returns for a caller. API Gateway passes on strings, numbers and booleans only."""
    return {
        TENANT: caller.tenant,
        KEY: caller.key,
        MODELS: _encode("all" if caller.models is None else caller.models).decode(),
        **({} if caller.connections is None else {CONNECTIONS: str(caller.connections)}),
        **({KEY_HASH: credential.key_hash} if credential.key_hash else {}),
        **({EXPIRES: str(credential.expires)} if credential.expires else {}),
    }


def credential_from_context(context: Any) -> Credential:
    """The credential in the authorizer's context."""
    context = cast("dict[str, Any]", context) if isinstance(context, dict) else {}
    return Credential(key_hash=str(context.get(KEY_HASH, "")), expires=int(context.get(EXPIRES, 0)))


def caller_from_context(context: Any) -> Caller:
    """The caller in the authorizer's context.

    Raises the error 401 if there is none, 500 if it does not say which aliases are allowed: an authorizer of another version
    has written it, perhaps in the middle of a deployment.
    """
    if not isinstance(context, dict) or TENANT not in context:
        raise missing_api_key()
    context = cast("dict[str, Any]", context)
    try:
        models = _decode_models(str(context.get(MODELS, "")))
    except msgspec.DecodeError as error:
        raise authorizer_failed(detail=f"the authorizer's context: {error}") from None
    return Caller(
        tenant=str(context[TENANT]),
        key=str(context.get(KEY, "")),
        models=None if models == "all" else models,
        connections=int(context[CONNECTIONS]) if CONNECTIONS in context else None,
    )


def caller_from_identity(identity: Any) -> Caller:
    """The caller that signed the request with AWS credentials. Raises the error 401 if API Gateway names none."""
    if not isinstance(identity, dict):
        raise missing_api_key()
    identity = cast("dict[str, Any]", identity)
    account, arn = identity.get("accountId"), identity.get("userArn")
    if not account or not arn:
        raise missing_api_key()
    return Caller(tenant=str(account), key=str(arn))
