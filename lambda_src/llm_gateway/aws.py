"""Signed calls of AWS APIs: botocore's signer without botocore's client, whose import alone costs a cold start 0.2 s."""

import os
from collections.abc import Mapping

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from llm_gateway.http_client import HttpClient, Response

# The name that a service's signature carries, where it is not the host's.
_SIGNING_NAME = {"bedrock-runtime": "bedrock"}


class Aws:
    """One Region's APIs, called with the credentials of Lambda's environment.

    Lambda sets ``AWS_ACCESS_KEY_ID``, ``AWS_SECRET_ACCESS_KEY`` and ``AWS_SESSION_TOKEN`` once an environment and ends the
    environment before they expire, so they are read once. ``AWS_ENDPOINT_URL_<SERVICE>`` and ``AWS_ENDPOINT_URL`` put
    another address in a service's place, as in every AWS SDK.
    """

    def __init__(self, client: HttpClient, environ: Mapping[str, str] = os.environ) -> None:
        self._client = client
        self._environ = environ
        self._region = environ["AWS_REGION"]
        self._credentials = Credentials(
            environ["AWS_ACCESS_KEY_ID"], environ["AWS_SECRET_ACCESS_KEY"], environ.get("AWS_SESSION_TOKEN")
        )

    def endpoint(self, service: str) -> str:
        """The base URL of `service` (its endpoint prefix, such as ``bedrock-runtime``), without a slash at its end."""
        override = self._environ.get(f"AWS_ENDPOINT_URL_{service.upper().replace('-', '_')}") or self._environ.get(
            "AWS_ENDPOINT_URL"
        )
        return override.rstrip("/") if override else f"https://{service}.{self._region}.amazonaws.com"

    async def post(
        self,
        service: str,
        path: str,
        headers: Mapping[str, str],
        body: bytes,
        *,
        response_timeout: float,
        read_timeout: float,
    ) -> Response:
        """Sign and send one POST; returns when the response's head is there. Raises `http_client.HttpError`.

        `path` is percent-encoded already. Times are in seconds.
        """
        url = self.endpoint(service) + path
        request = AWSRequest(method="POST", url=url, headers=dict(headers), data=body)
        SigV4Auth(self._credentials, _SIGNING_NAME.get(service, service), self._region).add_auth(request)
        return await self._client.send(
            "POST",
            url,
            list(request.headers.items()),
            body,
            response_timeout=response_timeout,
            read_timeout=read_timeout,
        )
