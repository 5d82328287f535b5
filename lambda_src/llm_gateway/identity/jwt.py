"""JSON Web Tokens of an OpenID Connect issuer, signed with RS256.

Every OpenID Connect provider must support RS256 (OpenID Connect Core 1.0, section 15.1). Verifying it needs only a modular
power and a comparison (RFC 8017, section 8.2.2): there is no secret, and the padding is compared as a whole, not parsed. So the
bundle needs no cryptography library, which would double its size.
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Callable, Sequence
from typing import Any, TypeGuard, cast

import msgspec

from llm_gateway.http.client import HttpClient, HttpError
from llm_gateway.identity.caller import Caller

# Seconds that the issuer's keys are cached, and seconds before they are read again for an unknown key id. After a failure they
# are read again later each time, up to that many seconds, and meanwhile those that are known are used for a day.
_CACHE_SECONDS = 3600.0
_RETRY_SECONDS = 60.0
_STALE_SECONDS = 86_400.0
# Seconds that the issuer's clock may differ from this one.
_LEEWAY_SECONDS = 60.0
# The smallest key in bits that is safe (https://www.rfc-editor.org/rfc/rfc7518#section-3.3), and the largest that is checked.
_MIN_KEY_BITS, _MAX_KEY_BITS = 2048, 16_384
_MAX_EXPONENT_BITS = 64
# A token of another type is signed for another purpose, such as a logout. https://www.rfc-editor.org/rfc/rfc8725#section-3.11
_TYPES = ("jwt", "at+jwt")
# The DER encoding of DigestInfo for SHA-256, without the digest. https://www.rfc-editor.org/rfc/rfc8017#section-9.2
_SHA256_PREFIX = bytes.fromhex("3031300d060960864801650304020105000420")


_NAME = re.compile(r"[ !#-\[\]-~]{1,255}")


def accepted_until(token: str) -> int:
    """Return when a token that has been verified is no longer accepted, in seconds since the epoch."""
    expires: float = _object(token.split(".")[1])["exp"]
    return int(min(expires, 2**53) + _LEEWAY_SECONDS)


class IssuerError(Exception):
    """The issuer's keys cannot be read, so no token can be verified."""


class TokenVerifier:
    """Verifies tokens with the keys that their issuer publishes.

    `models_claim` lists the aliases allowed; None: no claim does, and a token allows all. `clock` returns seconds since the
    epoch. `warn` is told when the issuer fails, and keys of before are used.
    """

    def __init__(
        self,
        client: HttpClient,
        *,
        issuer: str,
        audiences: Sequence[str],
        tenant_claim: str,
        models_claim: str | None,
        clock: Callable[[], float],
        warn: Callable[[str], None],
    ) -> None:
        self._client = client
        self._issuer = issuer
        self._audiences = frozenset(audiences)
        self._tenant_claim = tenant_claim
        self._models_claim = models_claim
        self._clock = clock
        self._warn = warn
        self._keys: dict[str, tuple[int, int]] = {}
        self._read_at = self._retry_at = float("-inf")
        self._failures = 0
        self._failure = ""

    async def caller(self, token: str) -> Caller | None:
        """Return the caller of a token, None if it is not valid. Raises `IssuerError` or `HttpError`."""
        parts = token.split(".")
        if len(parts) != 3:
            return None
        try:
            header, claims = _object(parts[0]), _object(parts[1])
            signature = _bytes(parts[2])
        except (ValueError, msgspec.DecodeError, RecursionError):
            return None
        identifier = header.get("kid", "")
        if header.get("alg") != "RS256" or "crit" in header or not _is_token(header) or not isinstance(identifier, str):
            return None
        key = await self._key(identifier)
        if key is None or not _signed(f"{parts[0]}.{parts[1]}".encode(), signature, key):
            return None
        return self._caller_of(claims)

    def _caller_of(self, claims: dict[str, Any]) -> Caller | None:
        now = self._clock()
        audience = claims.get("aud")
        audiences = cast("list[Any]", audience) if isinstance(audience, list) else [audience]
        expires, begins = claims.get("exp"), claims.get("nbf", 0)
        valid = (
            claims.get("iss") == self._issuer
            and not self._audiences.isdisjoint(a for a in audiences if isinstance(a, str))
            and isinstance(expires, int | float)
            and now < expires + _LEEWAY_SECONDS
            and isinstance(begins, int | float)
            and begins - _LEEWAY_SECONDS <= now
        )
        tenant, subject = claims.get(self._tenant_claim), claims.get("sub")
        if not valid or not _is_name(tenant) or not (subject is None or _is_name(subject)):
            return None
        key = subject or ""  # a tenant has at most one caller without a subject, and none with this name
        if self._models_claim is None:
            return Caller(tenant=tenant, key=key)
        models = claims.get(self._models_claim)
        if isinstance(models, str):  # names with spaces between, as in "scope"
            models = models.split()
        if not isinstance(models, list) or not models:
            return None
        names = cast("list[Any]", models)
        if not all(_is_name(name) for name in names):
            return None
        return Caller(tenant=tenant, key=key, models=tuple(names))

    async def _key(self, identifier: str) -> tuple[int, int] | None:
        """Return the issuer's key with that id. The keys are read again if they are old or the id is unknown."""
        now, known = self._clock(), self._keys.get(identifier)
        age = now - self._read_at
        if age <= (_RETRY_SECONDS if known is None else _CACHE_SECONDS):
            return known
        usable = known is not None and age <= _STALE_SECONDS
        if now < self._retry_at:
            if usable:
                return known
            raise IssuerError(f"the issuer's keys are not read again yet, after: {self._failure}")
        try:
            keys = await self._read_keys()
        except (IssuerError, HttpError) as error:
            self._failures = min(self._failures + 1, 10)
            self._retry_at = self._clock() + min(_RETRY_SECONDS, 2.0**self._failures)
            self._failure = str(error)
            if not usable:
                raise
            self._warn(f"the issuer's keys cannot be read, and those of before are used: {error}")
            return known
        self._keys, self._read_at, self._failures = keys, self._clock(), 0
        return keys.get(identifier)

    async def _read_keys(self) -> dict[str, tuple[int, int]]:
        discovery = await self._get(f"{self._issuer.rstrip('/')}/.well-known/openid-configuration")
        if discovery.get("issuer") != self._issuer:
            raise IssuerError(f"the discovery document is of {discovery.get('issuer')!r}, not of {self._issuer!r}")
        address = str(discovery.get("jwks_uri", ""))
        # An issuer on loopback, for a local run, has its keys there.
        if not address.startswith("https://") and self._issuer.startswith("https://"):
            raise IssuerError(f"the issuer's jwks_uri must begin with https://, not {address[:200]!r}")
        keys = _rsa_keys(await self._get(address))
        if not keys:
            raise IssuerError(f"{address} has no RSA key for signatures of {_MIN_KEY_BITS} bits or more")
        return keys

    async def _get(self, url: str) -> dict[str, Any]:
        accept = [("accept", "application/json")]
        async with await self._client.send("GET", url, accept, b"", response_timeout=3.0, read_timeout=3.0) as response:
            body = await response.read(1 << 20)
        if response.status != 200:
            raise IssuerError(f"{url} answered {response.status}")
        try:
            return msgspec.json.decode(body, type=dict[str, Any])
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise IssuerError(f"{url} is no JSON object: {error}") from error


def _is_name(claim: object) -> TypeGuard[str]:
    """Whether a claim can name somebody. A subject has at most 255 ASCII characters (OpenID Connect Core 1.0, section 2).

    Without quotes and backslashes: API Gateway's documentation does not say that it escapes what it puts into the access log.
    """
    return isinstance(claim, str) and _NAME.fullmatch(claim) is not None


def _is_token(header: dict[str, Any]) -> bool:
    """Whether a header is that of a token, by its media type. https://www.rfc-editor.org/rfc/rfc7515#section-4.1.9"""
    kind = header.get("typ", "JWT")
    return isinstance(kind, str) and kind.lower().removeprefix("application/") in _TYPES


def _rsa_keys(document: dict[str, Any]) -> dict[str, tuple[int, int]]:
    """Return the modulus and exponent of each RSA signing key by its id. What is no such key is left out.

    "Implementations SHOULD ignore JWKs within a JWK Set that use "kty" values that are not understood …, that are missing
    required members, or for which values are out of the supported ranges." https://www.rfc-editor.org/rfc/rfc7517#section-5
    """
    keys: dict[str, tuple[int, int]] = {}
    listed = document.get("keys")
    for key in cast("list[Any]", listed) if isinstance(listed, list) else []:
        try:
            each = msgspec.convert(key, _Jwk)
            modulus, exponent = int.from_bytes(_bytes(each.n)), int.from_bytes(_bytes(each.e))
        except (msgspec.ValidationError, ValueError):
            continue
        right = each.kty == "RSA" and each.use == "sig" and each.alg == "RS256" and exponent % 2 and exponent > 1
        if right and _MIN_KEY_BITS <= modulus.bit_length() <= _MAX_KEY_BITS and exponent.bit_length() <= _MAX_EXPONENT_BITS:
            keys[each.kid] = (modulus, exponent)
    return keys


class _Jwk(msgspec.Struct):
    """A key of a JWK Set. https://www.rfc-editor.org/rfc/rfc7517#section-4"""

    kty: str
    n: str
    e: str
    kid: str = ""
    use: str = "sig"
    alg: str = "RS256"


def _signed(message: bytes, signature: bytes, key: tuple[int, int]) -> bool:
    """Verify an RSASSA-PKCS1-v1_5 signature with SHA-256 by comparing the whole encoded message."""
    modulus, exponent = key
    length = (modulus.bit_length() + 7) // 8
    number = int.from_bytes(signature)
    if len(signature) != length or number >= modulus:
        return False
    digest = _SHA256_PREFIX + hashlib.sha256(message).digest()
    expected = b"\x00\x01" + b"\xff" * (length - len(digest) - 3) + b"\x00" + digest
    return hmac.compare_digest(pow(number, exponent, modulus).to_bytes(length), expected)


def _object(part: str) -> dict[str, Any]:
    return msgspec.json.decode(_bytes(part), type=dict[str, Any])


def _bytes(part: str) -> bytes:
    """Decode Base64url without padding. Raises `ValueError`."""
    return base64.b64decode(part + "=" * (-len(part) % 4), altchars=b"-_", validate=True)
