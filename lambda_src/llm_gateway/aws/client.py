"""Signed calls of AWS APIs."""

import math
import os
import time
from collections.abc import Mapping, Sequence

from llm_gateway.aws.regions import dns_suffix
from llm_gateway.aws.sigv4 import Signer
from llm_gateway.http.client import HttpClient, Response
from llm_gateway.http.wire import parse_url
from llm_gateway.redaction import redacted

# The service's name in the signature, where it differs from the host's.
_SIGNING_NAME = {"bedrock-runtime": "bedrock", "bedrock-agent-runtime": "bedrock", "appconfigdata": "appconfig"}


class Aws:
    """Calls the APIs of one Region with the credentials of Lambda's environment.

    Lambda sets ``AWS_ACCESS_KEY_ID``, ``AWS_SECRET_ACCESS_KEY`` and ``AWS_SESSION_TOKEN`` once for an execution environment and
    ends it before they expire, so they are read once. ``AWS_ENDPOINT_URL_<SERVICE>`` and ``AWS_ENDPOINT_URL`` replace the
    address of a service, as in every AWS SDK.
    """

    def __init__(self, client: HttpClient, environ: Mapping[str, str] = os.environ) -> None:
        self._client = client
        self._environ = environ
        self._region = environ["AWS_REGION"]
        self._credentials = (
            environ["AWS_ACCESS_KEY_ID"],
            environ["AWS_SECRET_ACCESS_KEY"],
            environ.get("AWS_SESSION_TOKEN"),
        )
        self._services: dict[str, tuple[str, str, Signer]] = {}

    def redact(self, text: str) -> str:
        """Return a text of an answer without credentials: AWS repeats a session token where it refuses a signature."""
        _, secret_key, session_token = self._credentials
        return redacted(text, [secret_key, session_token or ""])

    def endpoint(self, service: str) -> str:
        """Return the base URL of `service` (its endpoint prefix, such as ``bedrock-runtime``), without a slash at its end."""
        override = self._environ.get(f"AWS_ENDPOINT_URL_{service.upper().replace('-', '_')}") or self._environ.get(
            "AWS_ENDPOINT_URL"
        )
        return override.rstrip("/") if override else f"https://{service}.{self._region}.{dns_suffix(self._region)}"

    async def post(
        self,
        service: str,
        path: str,
        headers: Sequence[tuple[str, str]],
        body: bytes,
        *,
        response_timeout: float = math.inf,
        read_timeout: float = math.inf,
        deadline: float = math.inf,
    ) -> Response:
        """Sign and send a POST request and return when the head of the response has come. Raises `HttpError`.

        `path` is percent-encoded and follows the endpoint. The time-outs are those of `HttpClient.send`.
        """
        base, host, signer = self._services.get(service) or self._service(service)
        signed = signer.sign("POST", host, path, headers, body, time.time())
        return await self._client.send(
            "POST",
            base + path,
            [*headers, *signed],
            body,
            response_timeout=response_timeout,
            read_timeout=read_timeout,
            deadline=deadline,
        )

    async def get(self, service: str, path: str, query: str, *, response_timeout: float, read_timeout: float) -> Response:
        """Sign and send a GET request, as `post` does. `query` is percent-encoded, with its parameters in order."""
        base, host, signer = self._services.get(service) or self._service(service)
        signed = signer.sign("GET", host, path, (), b"", time.time(), query)
        return await self._client.send(
            "GET", f"{base}{path}?{query}", signed, b"", response_timeout=response_timeout, read_timeout=read_timeout
        )

    async def send(
        self,
        service: str,
        method: str,
        base: str,
        path: str,
        body: bytes,
        headers: Sequence[tuple[str, str]] = (),
        *,
        query: str = "",
        response_timeout: float,
        read_timeout: float,
        deadline: float = math.inf,
    ) -> Response:
        """Sign and send a request to an address that is not the service's own in the Region, such as an API's or a bucket's.

        `base` is the URL before `path`, which is percent-encoded, as `query` is, with its parameters in order. Raises
        `HttpError`.
        """
        url = parse_url(base + path)
        signer = Signer(*self._credentials, self._region, service)
        signed = signer.sign(method, url.host, url.path, headers, body, time.time(), query)
        return await self._client.send(
            method,
            f"{base}{path}?{query}" if query else base + path,
            [*headers, *signed],
            body,
            response_timeout=response_timeout,
            read_timeout=read_timeout,
            deadline=deadline,
        )

    def presigned(self, service: str, base: str, path: str, query: Sequence[tuple[str, str]], seconds: int) -> str:
        """Return a URL by which anybody may send a GET request for so many seconds, as these credentials may: it is a secret.

        `base` and `path` are as in `send`.
        """
        url = parse_url(base + path)
        signer = Signer(*self._credentials, self._region, service)
        return f"{base}{path}?{signer.presign(url.host, url.path, query, seconds, time.time())}"

    def bucket(self, name: str) -> str:
        """Return the base URL of an S3 bucket: a host of its own, or the path of one where the address of S3 is replaced.

        https://docs.aws.amazon.com/AmazonS3/latest/userguide/VirtualHosting.html
        """
        base = self.endpoint("s3")
        regional = f"https://s3.{self._region}."
        return base.replace("https://", f"https://{name}.", 1) if base.startswith(regional) else f"{base}/{name}"

    def _service(self, service: str) -> tuple[str, str, Signer]:
        base = self.endpoint(service)
        signer = Signer(*self._credentials, self._region, _SIGNING_NAME.get(service, service))
        known = self._services[service] = base, parse_url(base).host, signer
        return known
