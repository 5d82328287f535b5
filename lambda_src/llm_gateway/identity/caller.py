"""Who calls: API keys, and what the authorizer or API Gateway found.

A key is a random string of 128 bits or more, so its plain SHA-256 is safe to store: there is nothing to guess. The authorizer
turns a key into a `Caller`; every transport hands that `Caller` to the pipeline.
"""

import hashlib
from collections.abc import Mapping
from typing import Any, cast

import msgspec

from llm_gateway.errors import missing_api_key


class Caller(msgspec.Struct, frozen=True):
    """`key` is the key's name, never its value. `models` are the aliases allowed; empty: all."""

    tenant: str
    key: str
    models: tuple[str, ...] = ()


ANONYMOUS = Caller(tenant="anonymous", key="")


def key_hash(key: str) -> str:
    """How a key is stored and looked up: the SHA-256 of its UTF-8 bytes, in hex."""
    return hashlib.sha256(key.encode()).hexdigest()


def presented_key(headers: Mapping[str, str]) -> str | None:
    """The key that a request carries, as ``Authorization: Bearer`` or ``x-api-key``; header names in any case.

    The first of the two that is there counts.
    """
    lower = {name.lower(): value for name, value in headers.items()}
    return presented_token(lower) or lower.get("x-api-key", "").strip() or None


def presented_token(headers: Mapping[str, str]) -> str | None:
    """The token of ``Authorization: Bearer``; header names in any case."""
    value = next((value for name, value in headers.items() if name.lower() == "authorization"), "")
    scheme, _, token = value.partition(" ")
    return (token.strip() or None) if scheme.lower() == "bearer" else None


def caller_context(caller: Caller) -> dict[str, str]:
    """A caller as an API Gateway authorizer hands it on: flat strings."""
    return {"tenant": caller.tenant, "key": caller.key, "models": ",".join(caller.models)}


def caller_from_context(context: Any) -> Caller:
    """The caller that the authorizer found. Raises 401 where no authorizer spoke."""
    if not isinstance(context, dict) or "tenant" not in context:
        raise missing_api_key()
    context = cast("dict[str, Any]", context)
    models = str(context.get("models", ""))
    return Caller(
        tenant=str(context["tenant"]),
        key=str(context.get("key", "")),
        models=tuple(models.split(",")) if models else (),
    )


def caller_from_identity(identity: Any) -> Caller:
    """The caller that signed with AWS credentials, as API Gateway names it. Raises 401 where it names none."""
    if not isinstance(identity, dict):
        raise missing_api_key()
    identity = cast("dict[str, Any]", identity)
    account, arn = identity.get("accountId"), identity.get("userArn")
    if not account or not arn:
        raise missing_api_key()
    return Caller(tenant=str(account), key=str(arn))
