"""Builds what traces requests, from the routes document and the environment."""

import time
from collections.abc import Callable, Mapping, Sequence

from llm_gateway.aws.client import Aws
from llm_gateway.aws.secrets import Secrets
from llm_gateway.http.client import HttpClient, Response
from llm_gateway.routes import Endpoint
from llm_gateway.trace import XRAY, Tracing
from llm_gateway.tracing.exporter import Exporter, Post
from llm_gateway.tracing.histograms import Histograms
from llm_gateway.tracing.spans import Attributes, servers
from llm_gateway.tracing.tracer import Tracer
from llm_gateway.tracing.xray import ADDRESS, Daemon

_JSON = ("content-type", "application/json")


def tracer_of(
    tracing: Tracing,
    endpoints: Sequence[Endpoint],
    client: HttpClient,
    environ: Mapping[str, str],
    warn: Callable[[str], None],
) -> Tracer:
    """Return the tracer. `warn` is told what cannot be exported."""
    aws = Aws(client, environ)
    known = servers(endpoints, aws.endpoint("bedrock-runtime"))
    if not tracing.endpoint:
        address = environ.get(ADDRESS)  # Lambda sets it, other hosts may not
        return Tracer(tracing, Daemon(address, warn) if address else None, known, warn)
    histograms = Histograms(time.time_ns()) if tracing.metrics else None
    exporter = Exporter(_post(tracing, client, aws, environ), resource(environ), warn, time.time_ns, histograms)
    return Tracer(tracing, exporter, known, warn)


def resource(environ: Mapping[str, str]) -> Attributes:
    """Return what spans and metrics say of this function. ``OTEL_SERVICE_NAME`` is the service's name; default: the function's.

    https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
    https://github.com/open-telemetry/semantic-conventions/blob/v1.41.1/docs/resource/faas.md
    """
    described = {
        "service.name": environ.get("OTEL_SERVICE_NAME") or environ.get("AWS_LAMBDA_FUNCTION_NAME") or "pulumi-llm",
        "cloud.provider": "aws",
        "cloud.platform": "aws_lambda",
        "cloud.region": environ["AWS_REGION"],
        "faas.name": environ.get("AWS_LAMBDA_FUNCTION_NAME", ""),
        "faas.version": environ.get("AWS_LAMBDA_FUNCTION_VERSION", ""),
        "faas.instance": environ.get("AWS_LAMBDA_LOG_STREAM_NAME", ""),
    }
    return {name: value for name, value in described.items() if value}


def _post(tracing: Tracing, client: HttpClient, aws: Aws, environ: Mapping[str, str]) -> Post:
    """Return what posts to the receiver. ``OTEL_EXPORTER_OTLP_ENDPOINT`` stands in the place of its address."""
    if tracing.endpoint == XRAY:
        return lambda path, body: aws.post("xray", path, [_JSON], body)
    base, secrets = (environ.get("OTEL_EXPORTER_OTLP_ENDPOINT") or tracing.endpoint).rstrip("/"), Secrets(aws)

    async def post(path: str, body: bytes) -> Response:
        headers: list[tuple[str, str]] = [_JSON]
        if tracing.secret_arn:
            headers.append((tracing.header, await secrets.get(tracing.secret_arn, float("inf"))))
        response = await client.send("POST", base + path, headers, body)
        if response.status in (401, 403):  # it may have been replaced
            secrets.forget(tracing.secret_arn)
        return response

    return post
