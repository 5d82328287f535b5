"""The caller, and the credentials that a request carries.

A key is a random string of 128 bits or more, so storing its plain SHA-256 is safe: nobody can guess it. The authorizer turns a
key into a `Caller`, and every transport passes that `Caller` to the pipeline.
"""

import base64
import hashlib
import re
from collections.abc import Mapping
from typing import Any

import msgspec


class Caller(msgspec.Struct, frozen=True):
    """Who calls.

    `key` is the name of the API key, never its value, or a token's subject. `models` are the aliases allowed; None: all.
    `anonymous`: nobody was asked who they are, so this is no name, and many callers have it. `connections` is how many
    WebSockets it may have open; None: as many as any caller.
    """

    tenant: str
    key: str
    models: tuple[str, ...] | None = None
    anonymous: bool = False
    connections: int | None = None

    @property
    def principal(self) -> str:
        """Who calls, whatever the session: a session's name is chosen by its holder, so it is left out."""
        is_session = self.key.startswith("arn:") and (":assumed-role/" in self.key or ":federated-user/" in self.key)
        return self.key.rpartition("/")[0] if is_session else self.key


class Credential(msgspec.Struct, frozen=True):
    """What a caller has shown, as far as it can be checked again while a connection lasts.

    `key_hash` is an API key's. `expires` is when a token is no longer accepted, in seconds since the epoch. Default: neither.
    """

    key_hash: str = ""
    expires: int = 0


# The names of a caller's fields in the context that the authorizer returns; the access log reads them there.
TENANT, KEY, MODELS, CONNECTIONS = "tenant", "key", "models", "connections"
# And those of its credential.
KEY_HASH, EXPIRES = "key_hash", "expires"

ANONYMOUS = Caller(tenant="anonymous", key="", anonymous=True)


def identity_item(caller: Caller, credential: Credential) -> dict[str, Any]:
    """Return the attributes of a DynamoDB item that say who a caller is, and with what credential."""
    return {
        "tenant": {"S": caller.tenant},
        "key": {"S": caller.key},
        "anonymous": {"BOOL": caller.anonymous},
        **permission_attributes(caller),
        "key_hash": {"S": credential.key_hash},
        "valid_until": {"N": str(credential.expires)},
    }


def identified(item: Mapping[str, Any]) -> tuple[Caller, Credential]:
    """Return the caller and the credential of an item that has the attributes of `identity_item`."""
    caller = Caller(
        tenant=item["tenant"]["S"],
        key=item["key"]["S"],
        models=models_of(item),
        anonymous=item["anonymous"]["BOOL"],
        connections=connections_of(item),
    )
    return caller, Credential(key_hash=item["key_hash"]["S"], expires=int(item["valid_until"]["N"]))


def permission_attributes(caller: Caller) -> dict[str, Any]:
    """Return the attributes of a DynamoDB item that say what a caller may do: its aliases, and how many connections."""
    return {
        "models": {"L": [{"S": name} for name in caller.models or ()]},
        "all_models": {"BOOL": caller.models is None},
        **({} if caller.connections is None else {"connections": {"N": str(caller.connections)}}),
    }


def models_of(item: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Return the aliases that an item with the attributes of `permission_attributes` allows; None: all."""
    return None if item["all_models"]["BOOL"] else tuple(model["S"] for model in item["models"]["L"])


def connections_of(item: Mapping[str, Any]) -> int | None:
    """Return how many connections such an item allows; None: as many as any caller may have."""
    return int(item["connections"]["N"]) if "connections" in item else None


# What API Gateway takes as a key, and a caller may send in a header as a token.
# https://docs.aws.amazon.com/apigateway/latest/developerguide/api-key-file-format.html
# https://www.rfc-editor.org/rfc/rfc6750#section-2.1
KEY_LENGTHS = 20, 128
_KEY_FORM = re.compile(r"[A-Za-z0-9._~+/-]+=*")


def is_key(text: str) -> bool:
    """Whether a text can be an API key. Any other one need not be looked up."""
    return KEY_LENGTHS[0] <= len(text) <= KEY_LENGTHS[1] and _KEY_FORM.fullmatch(text) is not None


def key_hash(key: str) -> str:
    """Return the SHA-256 of a key's UTF-8 bytes in hex. Keys are stored and looked up by it."""
    # Half of a surrogate pair is no text, but an event's JSON may hold it: it is refused like any wrong key.
    return hashlib.sha256(key.encode(errors="surrogatepass")).hexdigest()


def presented_key(headers: Mapping[str, str]) -> str | None:
    """Return the API key of a request: what `presented_token` finds; without an Authorization header, also ``x-api-key``."""
    lower = _lower(headers)
    if token := presented_token(lower):
        return token
    return None if _has_authorization(lower) else lower.get("x-api-key", "").strip() or None


def presented_token(headers: Mapping[str, str]) -> str | None:
    """Return the token of ``Authorization: Bearer``; without that header, the one among the subprotocols of a WebSocket client.

    Header names may be in any case.

    An Authorization header decides alone, whatever it holds: API Gateway's cache of the authorizer goes by it, so that another
    header beside it must not let anybody in.
    """
    lower = _lower(headers)
    if _has_authorization(lower):
        scheme, _, token = lower["authorization"].strip().partition(" ")
        return (token.strip() or None) if scheme.lower() == "bearer" else None
    encoded = _offered(lower, _KEY_SUBPROTOCOL)
    if encoded is None:
        return None
    try:
        return base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).decode().strip() or None
    except ValueError:  # no base64, or no text
        return None


def presented_ticket(headers: Mapping[str, str]) -> str | None:
    """Return the ticket among the subprotocols of a WebSocket client. An Authorization header decides alone."""
    lower = _lower(headers)
    return None if _has_authorization(lower) else _offered(lower, TICKET_SUBPROTOCOL)


def _lower(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def _has_authorization(headers: Mapping[str, str]) -> bool:
    """Tell whether there is an Authorization header, as API Gateway sees it: a value of white space is one, and is cached.

    HTTP takes only spaces and tabs off a value, and Python's `strip` more, such as a no-break space.
    """
    return headers.get("authorization", "") != ""


# The subprotocol that clients of the WebSocket API speak.
SUBPROTOCOL = "llm.chat.v1"
# A browser can set no other header of a WebSocket. A subprotocol's name has no "/" or "=", which a key may have, so the key is
# in base64url, without padding. https://www.rfc-editor.org/rfc/rfc6455#section-4.1
_KEY_SUBPROTOCOL = "llm.key."
TICKET_SUBPROTOCOL = "llm.ticket."


def _offered(headers: Mapping[str, str], prefix: str) -> str | None:
    """Return what follows `prefix` in the first subprotocol that begins so. `headers` have lower case names."""
    names = (name.strip() for name in headers.get("sec-websocket-protocol", "").split(","))
    return next((name.removeprefix(prefix) for name in names if name.startswith(prefix)), None)
