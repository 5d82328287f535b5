"""The API keys of model providers, read from AWS Secrets Manager.

https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetSecretValue.html
"""

import asyncio
import time
from collections import deque
from typing import Any

import msgspec

from llm_gateway import errors
from llm_gateway.aws.client import Aws
from llm_gateway.http.client import HttpError
from llm_gateway.redaction import redacted

# Seconds that a key is cached. A replaced key is read sooner if the provider refuses the old one.
CACHE_SECONDS = 300.0
_TIMEOUT = 5.0
# Replaced keys that are remembered: a call that was made with one may still be answered.
_MOST_REPLACED = 4


class Secrets:
    """Reads and caches keys by the ARNs of their secrets. A secret is the key itself or a JSON object with ``api_key``."""

    def __init__(self, aws: Aws) -> None:
        self._aws = aws
        self._keys: dict[str, tuple[str, float]] = {}
        self._replaced: dict[str, deque[str]] = {}
        self._locks: dict[str, asyncio.Lock] = {}

    async def get(self, arn: str, deadline: float) -> str:
        """Return the key.

        Raises `GatewayError`: 502 if this service may not read the secret or the secret holds no key, 503 if Secrets Manager
        does not answer now. No text of an error holds the secret.
        """
        key, known_until = self._keys.get(arn, ("", 0.0))
        if known_until > time.monotonic():
            return key
        async with self._locks.setdefault(arn, asyncio.Lock()):  # of several requests at once, only one reads it
            key, known_until = self._keys.get(arn, ("", 0.0))
            if known_until > time.monotonic():
                return key
            replaced, key = key, await self._read(arn, deadline)
            if replaced not in ("", key):
                self._replaced.setdefault(arn, deque(maxlen=_MOST_REPLACED)).append(replaced)
            self._keys[arn] = key, time.monotonic() + CACHE_SECONDS
            return key

    def forget(self, arn: str) -> None:
        """Read the key again at the next call."""
        key, _ = self._keys.get(arn, ("", 0.0))
        self._keys[arn] = key, 0.0

    def redact(self, arn: str, text: str) -> str:
        """Return `text` without the key and those that it has replaced lately: a provider may repeat them in an error."""
        key, _ = self._keys.get(arn, ("", 0.0))
        return redacted(text, [key, *self._replaced.get(arn, ())])

    async def _read(self, arn: str, deadline: float) -> str:
        try:
            response = await self._aws.post(
                "secretsmanager",
                "/",
                [("content-type", "application/x-amz-json-1.1"), ("x-amz-target", "secretsmanager.GetSecretValue")],
                msgspec.json.encode({"SecretId": arn}),
                response_timeout=_TIMEOUT,
                read_timeout=_TIMEOUT,
                deadline=deadline,
            )
            async with response:
                body = await response.read()
        except HttpError as error:
            raise errors.upstream_unavailable(detail=f"Secrets Manager: {error}") from error
        if response.status >= 500:
            raise errors.upstream_unavailable(detail=f"Secrets Manager: status {response.status}")
        try:
            answer: dict[str, Any] = msgspec.json.decode(body)
            if response.status != 200:
                name = str(answer.get("__type", response.status)).split("#")[-1]
                if name == "ThrottlingException":
                    raise errors.upstream_unavailable(detail=f"Secrets Manager: {name}")
                message = self._aws.redact(str(answer.get("message") or answer.get("Message") or ""))
                raise _misconfigured(f"{name}: {message}")
            text: str = answer["SecretString"].strip()
            key: str = msgspec.json.decode(text)["api_key"].strip() if text.startswith("{") else text
            if not key.isascii() or not key.isprintable() or not key:
                raise ValueError
        except (msgspec.DecodeError, ValueError, LookupError, TypeError, AttributeError):
            raise _misconfigured('the secret is neither a key nor a JSON object with "api_key"') from None
        return key


def _misconfigured(reason: str) -> errors.GatewayError:
    return errors.upstream_misconfigured(detail=f"the provider's key cannot be read: {reason}")
