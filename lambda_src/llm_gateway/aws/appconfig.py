"""The calls of AWS AppConfig's data plane that the gateway makes.

https://docs.aws.amazon.com/appconfig/2019-10-09/APIReference/API_appconfigdata_GetLatestConfiguration.html
"""

from typing import NamedTuple
from urllib.parse import quote

import msgspec

from llm_gateway.aws.client import Aws
from llm_gateway.http.client import HttpError

__all__ = ["AppConfig", "AppConfigError", "HttpError", "Received"]

_SERVICE = "appconfigdata"
# Seconds that each wait of a call may take.
_TIMEOUT = 5.0
# What a hosted configuration may have: 2 MB by default.
# https://docs.aws.amazon.com/general/latest/gr/appconfig.html
_MOST_BYTES = 4 * 1024 * 1024


class AppConfigError(Exception):
    """AppConfig answered with an error. Its text is the exception's name and the status, and holds no token."""

    def __init__(self, name: str, status: int) -> None:
        super().__init__(f"{name} ({status})")
        self.status = status


class Received(NamedTuple):
    """What AppConfig has answered. `content` is empty where it is as it was. `label` is that of the version, if it has one.
    `interval` are the seconds after which AppConfig may be asked again."""

    content: bytes
    label: str
    interval: float


class AppConfig:
    """A session in which one configuration is followed. `interval` are the seconds between two calls, at least 15.

    Every method raises `AppConfigError` or `HttpError`.
    """

    def __init__(self, aws: Aws, application: str, environment: str, profile: str, *, interval: int) -> None:
        self._aws = aws
        self._asked_for = msgspec.json.encode(
            {
                "ApplicationIdentifier": application,
                "EnvironmentIdentifier": environment,
                "ConfigurationProfileIdentifier": profile,
                "RequiredMinimumPollIntervalInSeconds": interval,
            }
        )
        self._interval = float(interval)
        self._token = ""

    async def latest(self) -> Received:
        """Return what is deployed. A token is good for one call and 24 hours; where that is over, a new session begins."""
        if self._token:
            try:
                return await self._latest()
            except AppConfigError as error:
                if error.status != 400:
                    raise
        self._token = await self._start()
        return await self._latest()

    async def _start(self) -> str:
        response = await self._aws.post(
            _SERVICE,
            "/configurationsessions",
            [("content-type", "application/json")],
            self._asked_for,
            response_timeout=_TIMEOUT,
            read_timeout=_TIMEOUT,
        )
        async with response:
            body = await response.read()
        if response.status != 201:
            raise _error(response.status, response.headers.get("x-amzn-errortype", ""))
        try:
            return msgspec.json.decode(body, type=_Session).InitialConfigurationToken
        except msgspec.DecodeError:
            raise AppConfigError("a session without a token", response.status) from None

    async def _latest(self) -> Received:
        query = f"configuration_token={quote(self._token, safe='')}"
        response = await self._aws.get(_SERVICE, "/configuration", query, response_timeout=_TIMEOUT, read_timeout=_TIMEOUT)
        async with response:
            body = await response.read(_MOST_BYTES)
        headers = response.headers
        if response.status != 200:
            raise _error(response.status, headers.get("x-amzn-errortype", ""))
        self._token = headers.get("next-poll-configuration-token", "")
        interval = headers.get("next-poll-interval-in-seconds", "")
        # "It should be used instead of the value sent on the StartConfigurationSession call."
        seconds = max(1.0, float(interval)) if interval.isdigit() else self._interval
        return Received(body, headers.get("version-label", ""), seconds)


class _Session(msgspec.Struct):
    InitialConfigurationToken: str


def _error(status: int, type: str) -> AppConfigError:
    """Return the error. The header names the exception, and may say where it is described, after a colon."""
    return AppConfigError(type.partition(":")[0][:64] or "an error", status)
