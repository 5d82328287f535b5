"""The caller, and the credentials that a request carries.

A key is a random string of 128 bits or more, so storing its plain SHA-256 is safe: nobody can guess it. The authorizer turns a
key into a `Caller`, and every transport passes that `Caller` to the pipeline.
"""

import hashlib
from collections.abc import Mapping

import msgspec


class Caller(msgspec.Struct, frozen=True):
    """Who calls. `key` is the name of the API key, never its value. `models` are the aliases allowed; empty: all."""

    tenant: str
    key: str
    models: tuple[str, ...] = ()


# The names of a caller's fields in the context that the authorizer returns; the access log reads them there.
TENANT, KEY, MODELS = "tenant", "key", "models"

ANONYMOUS = Caller(tenant="anonymous", key="")


def key_hash(key: str) -> str:
    """Return the SHA-256 of a key's UTF-8 bytes in hex. Keys are stored and looked up by it."""
    return hashlib.sha256(key.encode()).hexdigest()


def presented_key(headers: Mapping[str, str]) -> str | None:
    """Return the API key of a request: ``Authorization: Bearer``, or ``x-api-key``. Header names may be in any case.

    An Authorization header decides alone, whatever it holds: API Gateway's cache of the authorizer goes by it, so that another
    header beside it must not let anybody in.
    """
    lower = {name.lower(): value for name, value in headers.items()}
    return presented_token(lower) if lower.get("authorization", "").strip() else lower.get("x-api-key", "").strip() or None


def presented_token(headers: Mapping[str, str]) -> str | None:
    """Return the token of ``Authorization: Bearer``. Header names may be in any case."""
    value = next((value for name, value in headers.items() if name.lower() == "authorization"), "")
    scheme, _, token = value.partition(" ")
    return (token.strip() or None) if scheme.lower() == "bearer" else None
