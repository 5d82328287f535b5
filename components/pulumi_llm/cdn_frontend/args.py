"""The description of CdnFrontend's settings. The TypedDicts in args_types.py are generated from it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from pulumi_llm.base import web_client
from pulumi_llm.base.location import Location
from pulumi_llm.base.settings import (
    Between,
    Count,
    Customize,
    Flag,
    HostName,
    Input,
    ParameterPrefix,
    Problem,
    RetentionDays,
    Settings,
    Tags,
    ZoneId,
    form,
)

# CloudFront sends a path to an origin as the viewer asked for it. So the stages have the names of their paths.
API_PATH = "/api"
WEBSOCKET_PATH = "/ws"

# https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/cnames-and-https-requirements.html
_CertificateArn = Annotated[
    str,
    form(
        r"arn:aws:acm:us-east-1:\d{12}:certificate/[A-Za-z0-9-]+",
        "the ARN of a certificate in us-east-1, where CloudFront looks for it",
    ),
]
_StageArn = Annotated[
    str,
    form(
        r"arn:aws:apigateway:[a-z0-9-]+::/restapis/[a-z0-9]+/stages/[A-Za-z0-9_-]+",
        "the ARN of a REST API's stage, such as arn:aws:apigateway:us-east-1::/restapis/ID/stages/api",
    ),
]
_FunctionUrl = Annotated[
    str,
    form(
        r"https://[a-z0-9]+\.lambda-url\.[a-z0-9-]+\.on\.aws/?",
        "a function's URL, such as https://ID.lambda-url.us-east-1.on.aws/",
    ),
]
_FunctionAliasArn = Annotated[
    str,
    form(
        r"arn:aws:lambda:[a-z0-9-]+:\d{12}:function:[A-Za-z0-9_-]+:[A-Za-z0-9_-]+",
        "the ARN of a function's alias, such as arn:aws:lambda:us-east-1:ACCOUNT:function:NAME:live",
    ),
]
_Country = Annotated[str, form(r"[A-Z]{2}", "a country's code of two letters, such as DE")]
_PriceClass = Literal["PriceClass_100", "PriceClass_200", "PriceClass_All"]
_ManagedRules = Literal["block", "count", "off"]


def _api_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme != "https" or not parts.hostname or parts.query:
        raise ValueError(
            f"{url!r} is not of the form of an API's URL, such as https://ID.execute-api.us-east-1.amazonaws.com/api"
        )
    if parts.path != API_PATH and not parts.path.startswith(f"{API_PATH}/"):
        reason = f"the CDN asks for the path that the browser asks it for, and the API's is below {API_PATH}"
        raise ValueError(f"{url!r} has the path {parts.path or '/'!r}; {reason}: name the stage, or the domain's base path, so")
    return url


def _websocket_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme != "wss" or not parts.hostname or parts.path != WEBSOCKET_PATH:
        form_ = f"wss://ID.execute-api.us-east-1.amazonaws.com{WEBSOCKET_PATH}"
        raise ValueError(f"{url!r} is not of the form of a WebSocket API's URL whose stage is named 'ws', such as {form_}")
    return url


class CdnDomainSettings(Settings):
    """A domain of your own."""

    name: Input[HostName]
    """The host name."""
    certificate_arn: Input[_CertificateArn]
    """Its certificate in ACM, in us-east-1 whatever the Region of everything else is."""
    zone_id: Input[ZoneId] | None = None
    """The public Route 53 zone in which its records are made. Default: you make them."""


class WafSettings(Settings):
    """The web ACLs: what an address may ask for, and how often."""

    enabled: Flag = True
    """Make a web ACL for the CDN and, with `api_stage_arn`, one for the API's own address. Each costs some $10 a month, and
    $0.60 a million requests."""
    rate_limit: Input[Annotated[Count, Between(10, 2_000_000_000)]] = 2000
    """The most requests of one IP address in five minutes. AWS looks about every ten seconds, so that more get through at
    first."""
    managed_rules: _ManagedRules = "block"
    """What AWS's own rules do: "block" what they match, only "count" it, or "off". Those that look at a request's body, and
    those that AWS adds, only count, because prompts may hold anything."""


class FrontendSettings(Settings):
    """What a stack's configuration and a program's arguments say alike."""

    folder: Annotated[str, Field(min_length=1)] | None = None
    """The folder with a built page of your own. Default: the package's web client."""
    domain: CdnDomainSettings | None = None
    """A domain of your own. Default: CloudFront's address."""
    price_class: _PriceClass = "PriceClass_100"
    """Where CloudFront answers: "PriceClass_100" is North America, Europe and Israel, "PriceClass_All" everywhere."""
    allow_countries: Annotated[tuple[_Country, ...], Field(min_length=1)] | None = None
    """The countries from which the CDN can be reached, by codes such as "DE". The web ACL of the REST API's own address has
    them, too; the WebSocket API's own address cannot have one. Default: all."""
    deny_countries: Annotated[tuple[_Country, ...], Field(min_length=1)] | None = None
    """The countries from which they cannot be reached. Default: none."""
    waf: WafSettings = WafSettings()
    """The web ACLs: what an address may ask for, and how often."""
    access_logs: Flag = True
    """Log each request at the CDN, to a log group in us-east-1."""
    log_retention_days: RetentionDays = 30
    """How long logs are kept, in days; one of the numbers that CloudWatch Logs accepts."""
    deletion_protection: Flag = True
    """Protect the CDN, whose address cannot be made again: `pulumi destroy` refuses before it deletes anything. To destroy the
    stack, set it to false and run `pulumi up` first."""
    customize: Customize = Field(default_factory=dict)
    """Per child, arguments that are merged with the component's own. Default: none."""

    def problems(self) -> Iterator[Problem]:
        if self.given("allow_countries") and self.given("deny_countries"):
            yield Problem("deny_countries", "CloudFront takes one of the two lists; leave out this or allow_countries")

    def page_files(self) -> dict[str, Path]:
        """The page's files by their path in it, without a configuration of its own. Empty where there is no page."""
        try:
            files = web_client.files(self.folder)
        except web_client.WebClientError:  # reported as a problem
            return {}
        return {path: file for path, file in files.items() if path != web_client.CONFIG_FILE}

    def folder_problems(self) -> Iterator[Problem]:
        """Yield why there is no page to serve."""
        try:
            web_client.files(self.folder)
        except web_client.WebClientError as error:
            yield Problem("folder", str(error))


class CdnFrontendSettings(FrontendSettings):
    """The arguments. What decides which resources there are is plain; the rest may be Outputs."""

    regional = ("api_stage_arn", "function_alias_arn")

    api_url: Input[Annotated[str, AfterValidator(_api_url)]]
    """The REST API's URL, whose path is /api or below: the output `url` of ServerlessBedrockApi."""
    api_stage_arn: Input[_StageArn] | None = None
    """The REST API's stage, on which the second web ACL is put: the output `stage_arn` of ServerlessBedrockApi. A stage has one
    web ACL. Default: the API's own address has none from here."""
    websocket_url: Input[Annotated[str, AfterValidator(_websocket_url)]] | None = None
    """The WebSocket API's URL, whose path is /ws. Default: the CDN serves none."""
    function_url: Input[_FunctionUrl] | None = None
    """The function's own URL, from which the page gets the stream of Server-Sent Events, past the REST API and its limits: the
    output `function_url_endpoint` of ServerlessBedrockApi. Default: the REST API streams."""
    function_alias_arn: Input[_FunctionAliasArn] | None = None
    """The function's alias that has this URL, which the CDN gets the permission to call: the output `function_alias_arn`.
    Required with `function_url`."""
    parameter_prefix: ParameterPrefix | None = None
    """Where SSM parameters with the outputs are made, such as "/pulumi-llm/prod/frontend". Default: none are made."""
    tags: Tags = Field(default_factory=dict)
    """Tags of every resource that takes them, the page's files left out: S3 bills an object's tags. Default: none but the
    component's own."""

    def problems(self) -> Iterator[Problem]:
        yield from super().problems()
        yield from self.folder_problems()
        if self.given("function_url") and not self.given("function_alias_arn"):
            yield Problem("function_alias_arn", "is required with function_url: the CDN needs the permission to call it")
        if self.given("function_alias_arn") and not self.given("function_url"):
            yield Problem("function_alias_arn", "is only for function_url, which is not given")

    def problems_in(self, location: Location) -> Iterator[Problem]:
        if location.partition != "aws":
            yield Problem(
                "api_url", f"{location.region} is in the partition {location.partition}, for which this CDN is not made"
            )
