"""The caller in API Gateway's request context: as the authorizer writes it there, and as the functions read it.

https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-proxy-integrations.html
"""

from typing import Any, cast

from llm_gateway.errors import missing_api_key
from llm_gateway.identity.caller import EXPIRES, KEY, KEY_HASH, MODELS, TENANT, Caller, Credential


def caller_context(caller: Caller, credential: Credential) -> dict[str, str]:
    """The context that the authorizer returns for a caller. API Gateway passes on strings, numbers and booleans only."""
    return {
        TENANT: caller.tenant,
        KEY: caller.key,
        MODELS: ",".join(caller.models),
        **({KEY_HASH: credential.key_hash} if credential.key_hash else {}),
        **({EXPIRES: str(credential.expires)} if credential.expires else {}),
    }


def credential_from_context(context: Any) -> Credential:
    """The credential in the authorizer's context."""
    context = cast("dict[str, Any]", context) if isinstance(context, dict) else {}
    return Credential(key_hash=str(context.get(KEY_HASH, "")), expires=int(context.get(EXPIRES, 0)))


def caller_from_context(context: Any) -> Caller:
    """The caller in the authorizer's context. Raises the error 401 if there is none."""
    if not isinstance(context, dict) or TENANT not in context:
        raise missing_api_key()
    context = cast("dict[str, Any]", context)
    models = str(context.get(MODELS, ""))
    return Caller(
        tenant=str(context[TENANT]),
        key=str(context.get(KEY, "")),
        models=tuple(models.split(",")) if models else (),
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
