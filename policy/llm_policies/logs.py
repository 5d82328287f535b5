"""Rules on what logs of requests hold: who called, never with which key."""

import re
from collections.abc import Iterator
from typing import Final

from llm_policies.rule import AWS_DOCS, STRINGS, Resource, Rule, Setting, Settings
from llm_policies.values import Value, each

_WAF: Final = "aws:wafv2/webAclLoggingConfiguration:WebAclLoggingConfiguration"
_REALTIME: Final = "aws:cloudfront/realtimeLogConfig:RealtimeLogConfig"
_DISTRIBUTION: Final = "aws:cloudfront/distribution:Distribution"
_GRAPHQL: Final = "aws:appsync/graphQLApi:GraphQLApi"
_STAGES: Final = ("aws:apigateway/stage:Stage", "aws:apigatewayv2/stage:Stage")

# What a stage's format can name that lets its reader in: `apiKeyId` and `authorizer.principalId` name the caller and do not.
_KEY: Final = re.compile(
    r"\$context\.identity\.apiKey(?![\w])"
    r"|\$context\.authorizer\.(?:[\w-]+\.)*(?:(?:access|id|refresh|bearer|auth|session|raw)?[_-]?token|authorization|jwt"
    r"|(?:client[_-]?)?secret|password|credentials?)(?![\w-])"
    r"|\$(?:context|input|request|method|stageVariables)\.?[\w.('\"-]*(?:authorization|x-api-key|cookie)"
    r"|\$context\.(?:request|response)?override\.header\.(?:authorization|x-api-key|cookie)",
    re.IGNORECASE,
)


def _logs_without_keys(resource: Resource, settings: Settings) -> Iterator[str]:
    if resource.type in _STAGES:
        yield from _formats(resource.at("accessLogSettings.format"))
    elif resource.type == _WAF:
        yield from _redacted(resource, settings)
    elif resource.type == _REALTIME:
        yield from each(resource["fields"].items(), _field)
    elif resource.type == _GRAPHQL:
        if not resource["logConfig"].missing and not resource.at("logConfig.excludeVerboseContent").flag():
            yield "logConfig.excludeVerboseContent is not true: headers, with keys and tokens, are written to the log"
    elif resource.at("loggingConfig.includeCookies").flag():
        yield "loggingConfig.includeCookies is true: sessions of users are written to the log"


def _formats(text: Value) -> Iterator[str]:
    for found in sorted(set(_KEY.findall(text.text()))):
        yield f"{text.path} writes {found}: who reads the log can call with it; log $context.identity.apiKeyId instead"


def _redacted(log: Resource, settings: Settings) -> Iterator[str]:
    # A filter may keep no request at all but those that are blocked: their keys are still keys.
    hidden = {field.at("singleHeader.name").text().lower() for field in log["redactedFields"].items()}
    if shown := [name for name in settings["headers"] if name.lower() not in hidden]:
        yield f"redactedFields lacks the headers {', '.join(shown)}: AWS WAF logs every header of a request"


def _field(field: Value) -> Iterator[str]:
    if field.text() in ("cs-headers", "cs-cookie"):
        yield f"{field.path} is {field.text()}: keys and sessions are written to the log; leave it out"


RULES: Final[tuple[Rule, ...]] = (
    Rule(
        name="logs-without-keys",
        title="Logs of requests hold no keys, tokens or cookies.",
        severity="high",
        why="A log is read by more people, and kept longer, than a key is meant for: who finds one in it calls as its tenant.",
        fix="Log what identifies a caller ($context.identity.apiKeyId, a tenant's name); redact headers in AWS WAF's logs.",
        check=_logs_without_keys,
        types=(*_STAGES, _WAF, _REALTIME, _DISTRIBUTION, _GRAPHQL),
        settings={
            "headers": Setting(["authorization", "x-api-key"], STRINGS, "The headers that AWS WAF's logs must not show.")
        },
        url=f"{AWS_DOCS}/apigateway/latest/developerguide/api-gateway-mapping-template-reference.html",
    ),
)
