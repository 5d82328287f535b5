"""What an origin is asked, and what it answers; the origins that are servers."""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from pulumi_llm_local.services.cloudfront import error_page

# Of a connection, and not of what is sent on it. https://www.rfc-editor.org/rfc/rfc9110#section-7.6.1
_HOP_BY_HOP = ("connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade")
_READ_SECONDS = 30.0


@dataclass(frozen=True)
class OriginRequest:
    """A request for an origin. `target` is the encoded path with the query. `headers` has the viewer's Host, or none."""

    method: str
    target: str
    headers: CIMultiDict[str]
    body: bytes = b""


@dataclass(frozen=True)
class OriginAnswer:
    """What an origin answers. The body comes as the origin sends it."""

    status: int
    headers: CIMultiDict[str] = field(default_factory=CIMultiDict[str])
    body: AsyncIterator[bytes] | bytes = b""


class OriginError(Exception):
    """An origin did not answer; CloudFront answers with this status and text."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


class Origin(Protocol):
    """Where a behavior gets its answers from."""

    def answer(self, request: OriginRequest) -> AbstractAsyncContextManager[OriginAnswer]:
        """Answer a request while the context lasts. Raises `OriginError`, from the body, too."""
        ...


class HttpOrigin:
    """A custom origin that a server of this machine stands for.

    https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/RequestAndResponseBehaviorCustomOrigin.html
    """

    def __init__(self, settings: Mapping[str, Any], url: str, session: aiohttp.ClientSession) -> None:
        self._url = url
        self._session = session
        self._domain_name = str(settings["domainName"])
        config: dict[str, Any] = settings.get("customOriginConfig") or {}
        # The longest wait for the first packet, and between two packets.
        self._timeout = aiohttp.ClientTimeout(total=None, sock_read=float(config.get("originReadTimeout") or _READ_SECONDS))

    @asynccontextmanager
    async def answer(self, request: OriginRequest) -> AsyncGenerator[OriginAnswer]:
        # API Gateway knows its API by the host, and refuses any other one.
        if "host" in request.headers:
            yield OriginAnswer(403, CIMultiDict({"content-type": "application/json"}), b'{"message":"Forbidden"}')
            return
        headers = without_hop_by_hop(request.headers)
        headers["host"] = self._domain_name
        try:
            response = await self._session.request(
                request.method,
                URL(self._url + request.target, encoded=True),
                headers=headers,
                data=request.body or None,
                skip_auto_headers=("user-agent", "accept", "accept-encoding", "content-type"),
                allow_redirects=False,
                timeout=self._timeout,
            )
        except TimeoutError as error:
            raise OriginError(504, error_page.NO_ANSWER) from error
        except aiohttp.ClientError as error:
            raise OriginError(502, error_page.NO_CONNECTION) from error
        try:
            yield OriginAnswer(response.status, without_hop_by_hop(response.headers), _chunks(response))
        finally:
            response.close() if not response.content.at_eof() else response.release()


class UnknownOrigin:
    """An origin that is not of this run. It is not asked."""

    @asynccontextmanager
    async def answer(self, request: OriginRequest) -> AsyncGenerator[OriginAnswer]:
        raise OriginError(502, error_page.NO_CONNECTION)
        yield OriginAnswer(502)


async def _chunks(response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    try:
        async for chunk in response.content.iter_any():
            yield chunk
    except (aiohttp.ClientError, TimeoutError) as error:
        raise OriginError(502, error_page.NO_CONNECTION) from error


def without_hop_by_hop(headers: Mapping[str, str]) -> CIMultiDict[str]:
    """Return the headers that go on beyond a connection."""
    return CIMultiDict((name, value) for name, value in headers.items() if name.lower() not in _HOP_BY_HOP)
