"""The arguments as TypedDicts, for programs and for Pulumi's analyzer. Made by `make docs` from args.py."""

from collections.abc import Mapping, Sequence
from typing import Any, NotRequired, TypedDict

import pulumi


class CdnDomainArgs(TypedDict):
    """A domain of your own."""

    name: pulumi.Input[str]
    """The host name."""
    certificate_arn: pulumi.Input[str]
    """Its certificate in ACM, in us-east-1 whatever the Region of everything else is."""
    zone_id: NotRequired[pulumi.Input[str]]
    """The public Route 53 zone in which its records are made. Default: you make them."""


class WafArgs(TypedDict):
    """The web ACLs: what an address may ask for, and how often."""

    enabled: NotRequired[bool]
    """Make a web ACL for the CDN and, with `api_stage_arn`, one for the API's own address. Each costs some $10 a month, and
    $0.60 a million requests. Default: true."""
    rate_limit: NotRequired[pulumi.Input[int]]
    """The most requests of one IP address in five minutes. AWS looks about every ten seconds, so that more get through at
    first. From 10 to 2,000,000,000. Default: 2,000."""
    managed_rules: NotRequired[str]
    """What AWS's own rules do: "block" what they match, only "count" it, or "off". Those that look at a request's body, and
    those that AWS adds, only count, because prompts may hold anything. Default: "block"."""


class CdnFrontendArgs(TypedDict):
    """The arguments. What decides which resources there are is plain; the rest may be Outputs."""

    folder: NotRequired[str]
    """The folder with a built page of your own. Default: the package's web client."""
    domain: NotRequired[CdnDomainArgs]
    """A domain of your own. Default: CloudFront's address."""
    price_class: NotRequired[str]
    """Where CloudFront answers: "PriceClass_100" is North America, Europe and Israel, "PriceClass_All" everywhere. Default:
    "PriceClass_100"."""
    allow_countries: NotRequired[Sequence[str]]
    """The countries from which the CDN can be reached, by codes such as "DE". The web ACL of the REST API's own address has
    them, too; the WebSocket API's own address cannot have one. Default: all."""
    deny_countries: NotRequired[Sequence[str]]
    """The countries from which they cannot be reached. Default: none."""
    waf: NotRequired[WafArgs]
    """The web ACLs: what an address may ask for, and how often."""
    access_logs: NotRequired[bool]
    """Log each request at the CDN, to a log group in us-east-1. Default: true."""
    log_retention_days: NotRequired[int]
    """How long logs are kept, in days; one of the numbers that CloudWatch Logs accepts. Default: 30."""
    deletion_protection: NotRequired[bool]
    """Protect the CDN, whose address cannot be made again: `pulumi destroy` refuses before it deletes anything. To destroy
    the stack, set it to false and run `pulumi up` first. Default: true."""
    customize: NotRequired[Mapping[str, Mapping[str, Any]]]
    """Per child, arguments that are merged with the component's own. Default: none."""
    api_url: pulumi.Input[str]
    """The REST API's URL, whose path is /api or below: the output `url` of ServerlessBedrockApi."""
    api_stage_arn: NotRequired[pulumi.Input[str]]
    """The REST API's stage, on which the second web ACL is put: the output `stage_arn` of ServerlessBedrockApi. A stage has
    one web ACL. Default: the API's own address has none from here."""
    websocket_url: NotRequired[pulumi.Input[str]]
    """The WebSocket API's URL, whose path is /ws. Default: the CDN serves none."""
    function_url: NotRequired[pulumi.Input[str]]
    """The function's own URL, from which the page gets the stream of Server-Sent Events, past the REST API and its limits:
    the output `function_url_endpoint` of ServerlessBedrockApi. Default: the REST API streams."""
    function_alias_arn: NotRequired[pulumi.Input[str]]
    """The function's alias that has this URL, which the CDN gets the permission to call: the output `function_alias_arn`.
    Required with `function_url`."""
    parameter_prefix: NotRequired[str]
    """Where SSM parameters with the outputs are made, such as "/pulumi-llm/prod/frontend". Default: none are made."""
    tags: NotRequired[Mapping[str, pulumi.Input[str]]]
    """Tags of every resource that takes them, the page's files left out: S3 bills an object's tags. Default: none but the
    component's own."""
