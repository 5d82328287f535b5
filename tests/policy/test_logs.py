"""The rule on what logs of requests hold."""

from typing import Any

from llm_policies.logs import RULES
from llm_policies.rule import Resource
from llm_policies.testing import UNKNOWN, resource
from support.policies import counted_cases

STAGE, STAGE_2 = "aws:apigateway/stage:Stage", "aws:apigatewayv2/stage:Stage"
WAF = "aws:wafv2/webAclLoggingConfiguration:WebAclLoggingConfiguration"
REALTIME = "aws:cloudfront/realtimeLogConfig:RealtimeLogConfig"
SITE = "aws:cloudfront/distribution:Distribution"
GRAPHQL = "aws:appsync/graphQLApi:GraphQLApi"


def logs(text: Any, kind: str = STAGE) -> list[Resource]:
    return [resource(kind, {"accessLogSettings": {"destinationArn": "arn:log", "format": text}})]


def waf(*headers: str) -> list[Resource]:
    return [resource(WAF, {"redactedFields": [{"singleHeader": {"name": name}} for name in headers]})]


CASES: list[tuple[Any, ...]] = [
    ("who called", logs('{"key": "$context.identity.apiKeyId", "ip": "$context.identity.sourceIp"}'), "good", 0),
    ("the authorizer's words", logs("$context.authorizer.principalId $context.authorizer.claims.sub", STAGE_2), "good", 0),
    ("what a token is for", logs("$context.authorizer.claims.token_use $context.authorizer.tokens_left"), "good", 0),
    ("an error of the authorizer", logs("$context.authorizer.error $context.authorizer.latency"), "good", 0),
    ("a stage without logs", [resource(STAGE, {})], "good", 0),
    ("the key", logs('{"key": "$context.identity.apiKey", "id": "$context.identity.apiKeyId"}'), "bad", 1),
    ("the key at the end", logs("$context.identity.apiKey", STAGE_2), "bad", 1),
    ("a token that the authorizer passes on", logs("$context.authorizer.access_token"), "bad", 1),
    ("a token of another spelling", logs('"$context.authorizer.accessToken"'), "bad", 1),
    ("a claim that is one", logs("$context.authorizer.claims.jwt"), "bad", 1),
    ("a header", logs("$context.requestOverride.header.Authorization"), "bad", 1),
    ("a header by a template", logs("$input.params('Authorization')"), "bad", 1),
    ("two of them", logs("$context.identity.apiKey $context.authorizer.token"), "bad", 2),
    ("unknown", logs(UNKNOWN), "unknown", 0),
    ("WAF with both headers redacted", waf("Authorization", "X-Api-Key"), "good", 0),
    ("WAF with one", waf("authorization"), "bad", 1),
    ("WAF with none", [resource(WAF, {})], "bad", 1),
    ("WAF with others", [resource(WAF, {"redactedFields": [{"queryString": {}}]})], "good", 0, {"headers": []}),
    ("CloudFront's chosen fields", [resource(REALTIME, {"fields": ["timestamp", "c-ip", "cs-uri-stem"]})], "good", 0),
    ("CloudFront's headers and cookies", [resource(REALTIME, {"fields": ["cs-headers", "cs-cookie"]})], "bad", 2),
    ("a distribution's log", [resource(SITE, {"loggingConfig": {"bucket": "logs.s3.amazonaws.com"}})], "good", 0),
    ("a distribution's cookies", [resource(SITE, {"loggingConfig": {"bucket": "b", "includeCookies": True}})], "bad", 1),
    ("AppSync without logs", [resource(GRAPHQL, {})], "good", 0),
    ("AppSync with headers", [resource(GRAPHQL, {"logConfig": {"fieldLogLevel": "ALL"}})], "bad", 1),
    ("AppSync without", [resource(GRAPHQL, {"logConfig": {"fieldLogLevel": "ALL", "excludeVerboseContent": True}})], "good", 0),
]

test_case, test_every_rule_has_all_kinds_of_case = counted_cases(RULES, {"logs-without-keys": CASES})
