"""A function's URL as an origin: CloudFront signs what it asks there, where an origin access control says so."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from hashlib import sha256
from secrets import token_hex
from typing import Any

import aiohttp
from multidict import CIMultiDict

from pulumi_llm_local.program.graph import Graph, Resource
from pulumi_llm_local.services.cloudfront.origin import HttpOrigin, OriginAnswer, OriginRequest
from pulumi_llm_local.services.local_run import LocalRun, ServiceCaller
from pulumi_llm_local.services.signature import Credentials

ACCESS_CONTROL = "aws:cloudfront/originAccessControl:OriginAccessControl"


def find_access_control(graph: Graph, settings: Mapping[str, Any]) -> Resource | None:
    """Return an origin's access control, if it is one for function URLs."""
    wanted = settings.get("originAccessControlId")
    found = (each for each in graph.of_type(ACCESS_CONTROL) if each.id == wanted)
    return next((each for each in found if each.state["originAccessControlOriginType"] == "lambda"), None)


class FunctionUrlOrigin:
    """A custom origin whose requests are signed.

    The hash of a body is the viewer's `x-amz-content-sha256`: CloudFront reads no body before it sends it on.
    https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/private-content-restricting-access-to-lambda.html
    """

    def __init__(
        self,
        run: LocalRun,
        settings: Mapping[str, Any],
        access: Resource,
        distribution_arn: str,
        url: str,
        session: aiohttp.ClientSession,
    ) -> None:
        self._server = HttpOrigin(settings, url, session)
        self._host = str(settings["domainName"])
        self._region = run.graph.region
        # "always", "never", or "no-override": only what the viewer has not signed
        self._behavior = str(access.state["signingBehavior"])
        self._credentials = Credentials(f"ASIA{token_hex(8).upper()}", token_hex(20))
        run.service_callers[self._credentials.access_key] = ServiceCaller(
            self._credentials, "cloudfront.amazonaws.com", distribution_arn
        )

    @asynccontextmanager
    async def answer(self, request: OriginRequest) -> AsyncGenerator[OriginAnswer]:
        viewers = self._behavior == "no-override" and "authorization" in request.headers
        signed = request if self._behavior == "never" or viewers else replace(request, headers=self._signed(request))
        async with self._server.answer(signed) as answer:
            yield answer

    def _signed(self, request: OriginRequest) -> CIMultiDict[str]:
        from botocore.auth import SigV4Auth
        from botocore.awsrequest import AWSRequest
        from botocore.credentials import Credentials as Keys

        headers = request.headers.copy()
        headers.setdefault("x-amz-content-sha256", sha256(b"").hexdigest())
        for name in ("authorization", "x-amz-date", "x-amz-security-token"):
            headers.popall(name, None)
        signed = {name: value for name, value in headers.items() if name.lower().startswith("x-amz-")}
        unsigned = AWSRequest(request.method, f"https://{self._host}{request.target}", headers={"host": self._host, **signed})
        SigV4Auth(Keys(self._credentials.access_key, self._credentials.secret_key), "lambda", self._region).add_auth(unsigned)
        for name in ("Authorization", "X-Amz-Date"):
            headers[name] = str(unsigned.headers[name])
        return headers
