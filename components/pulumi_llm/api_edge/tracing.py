"""The traces of requests: as settings, and as the functions read them."""

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import msgspec
from pydantic import AfterValidator

from llm_gateway import environment as variables
from llm_gateway.trace import XRAY, Tracing
from pulumi_llm.base.function_settings import LayerArn
from pulumi_llm.base.iam import allow
from pulumi_llm.base.settings import Between, Flag, Input, KmsKeyArn, Number, Problem, Settings, form
from pulumi_llm.routing import Routing, SecretArn, unique

_URL = re.compile(r"(?P<scheme>https?)://(?P<host>[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(:\d{1,5})?(/[!-~]*)?")
_LOOPBACK = re.compile(r"127(\.\d{1,3}){3}|localhost|\[::1\]")
_SIGNAL = re.compile(r"/v1/(traces|metrics|logs)/?$")


def _endpoint(value: str) -> str:
    if value == XRAY:
        return value
    if _URL.fullmatch(value) is None or "?" in value or "#" in value:
        # The value is not shown, for it may have a password in it.
        raise ValueError('must be "xray", or a URL such as https://otlp.example.com, without a user, a query or white space')
    if _SIGNAL.search(value):
        raise ValueError(f"must be the base URL, without the path of a signal: {_SIGNAL.sub('', value)!r}")
    return value.rstrip("/")


class OtlpSettings(Settings):
    """Where spans and metrics of requests are sent by OpenTelemetry's protocol: OTLP over HTTP, in JSON."""

    regional = ("secret_arn", "kms_key_arn", "collector_layer_arn")

    endpoint: Annotated[str, AfterValidator(_endpoint)]
    """The base URL of a receiver, such as "https://otlp.example.com", without /v1/traces; "http://localhost:4318" for the layer
    of a collector; or "xray", X-Ray's own in the Region, for which Transaction Search has to be enabled in the account."""
    sample_ratio: Annotated[Number, Between(0, 1)] = 1
    """The share of the requests whose spans are sent. A caller's trace context may keep a request out of it, not put one in."""
    metrics: Flag = True
    """Send metrics, too, of all requests: tokens, durations, time to the first token. X-Ray takes none."""
    content: Flag = False
    """Send prompts and answers, too, without the personal data that the filter `pii` finds. They may hold anything else."""
    secret_arn: Input[SecretArn] | None = None
    """The Secrets Manager secret that holds the value of `header`: alone, or as `api_key` of a JSON object. The whole ARN, in
    the API's Region. Default: the receiver needs none."""
    kms_key_arn: Input[KmsKeyArn] | None = None
    """The customer key that encrypts the secret. Default: AWS's own, which needs no permission."""
    header: Annotated[str, form(r"[A-Za-z][A-Za-z0-9-]{0,63}", "the name of a header, such as authorization")] = "authorization"
    """The header by which the receiver knows this service."""
    collector_layer_arn: Input[LayerArn] | None = None
    """The Lambda layer (arm64) of an OpenTelemetry collector that runs beside the function. Default: none."""

    def problems(self) -> Iterator[Problem]:
        if self.given("kms_key_arn") and not self.given("secret_arn"):
            yield Problem("kms_key_arn", "is what encrypts the secret; give secret_arn too, or leave it out")
        if self.given("header") and not self.given("secret_arn"):
            yield Problem("header", "has the secret as its value; give secret_arn too, or leave it out")
        if not self.valid("endpoint"):
            return
        if self.endpoint == XRAY:
            for name in ("secret_arn", "metrics", "collector_layer_arn"):
                if self.given(name) and getattr(self, name):
                    reason = {"metrics": "takes no metrics", "secret_arn": "takes signed requests, and no key"}.get(name)
                    yield Problem(name, f"X-Ray {reason or 'is not reached by a collector'}; leave it out")
            return
        url = _URL.fullmatch(self.endpoint)
        if url is not None and url["scheme"] == "http" and not _LOOPBACK.fullmatch(url["host"]):
            for name in ("secret_arn", "content"):
                if self.given(name) and getattr(self, name):
                    yield Problem("endpoint", f"would send what {name} says in plain text; give an https:// URL")


class TracedSettings(Settings):
    """How requests are traced."""

    otlp: OtlpSettings | None = None
    """Send a span of each request and of each call of a model, with metrics, by OpenTelemetry's protocol. Default: none; with
    `tracing`, X-Ray has the spans."""

    def traced(self, routing: Routing, *, xray: bool) -> Routing:
        """The routing, with where spans are sent; `xray`: to X-Ray's daemon where there is nothing else."""
        otlp = self.otlp
        if otlp is None:
            return _with(routing, Tracing()) if xray else routing
        if not otlp.valid("endpoint", "sample_ratio", "header"):
            return routing
        secret = otlp.secret_arn
        tracing = Tracing(
            endpoint=otlp.endpoint,
            sample_ratio=otlp.sample_ratio,
            metrics=otlp.metrics and otlp.endpoint != XRAY,
            content=otlp.content,
            header=otlp.header.lower(),
            secret_arn_variable=variables.OTLP_SECRET_ARN if secret is not None else "",
        )
        if secret is None:
            return _with(routing, tracing)
        keys = [] if otlp.kms_key_arn is None else [otlp.kms_key_arn]
        return _with(routing, tracing)._replace(
            environment={**routing.environment, variables.OTLP_SECRET_ARN: secret},
            secret_arns=unique([*routing.secret_arns, secret]),
            kms_key_arns=unique([*routing.kms_key_arns, *keys]),
        )

    @property
    def sends_to_xray(self) -> bool:
        """Whether the function sends spans to X-Ray's OTLP endpoint, for which it needs `put_spans`."""
        return self.otlp is not None and self.otlp.valid("endpoint") and self.otlp.endpoint == XRAY

    @property
    def collector_layers(self) -> list[Any]:
        layer = self.otlp.collector_layer_arn if self.otlp is not None else None
        return [] if layer is None else [layer]


def put_spans() -> list[Mapping[str, Any]]:
    """Statements that allow to send spans to X-Ray's OTLP endpoint. Its actions take no resource.

    https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsx-ray.html
    """
    return [allow("Spans", ["xray:PutSpans", "xray:PutTraceSegments"], "*")]


def _with(routing: Routing, tracing: Tracing) -> Routing:
    return routing._replace(routes=msgspec.structs.replace(routing.routes, tracing=tracing))
