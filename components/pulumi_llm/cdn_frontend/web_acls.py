"""The web ACLs: of the CDN, and of the API's own address.

They bound what an address may ask for. Who may call a model is for the API's authorizer to decide, by whatever way a request
comes.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import pulumi
from pulumi_aws import cloudfront, wafv2

from llm_gateway.errors import DO_NOT_RETRY, ErrorKind, access_denied, rate_limit_exceeded
from pulumi_llm.base.component import Component
from pulumi_llm.cdn_frontend.args import CdnFrontendSettings, WafSettings
from pulumi_llm.cdn_frontend.distribution import CDN_HEADER

# CloudFront's web ACLs and logs are there. https://docs.aws.amazon.com/waf/latest/developerguide/how-aws-waf-works-resources.html
CDN_REGION: Final = "us-east-1"

_WINDOW_SECONDS: Final = 300


class _ManagedGroup(NamedTuple):
    """A group of AWS's rules: the namespace of its labels, the labels that are blocked, the rules that only count."""

    namespace: str
    blocked: Sequence[str]
    counted: Sequence[str] = ()


# The rules that look at the body only count: a prompt may hold a script, a path or an exploit, and have more than 8 KB. So does
# that about a missing User-Agent, which programs need not send.
# https://docs.aws.amazon.com/waf/latest/developerguide/aws-managed-rule-groups-baseline.html
# https://docs.aws.amazon.com/waf/latest/developerguide/aws-managed-rule-groups-ip-rep.html
_GROUPS: Final[Mapping[str, _ManagedGroup]] = {
    "AWSManagedRulesAmazonIpReputationList": _ManagedGroup(
        "amazon-ip-list", blocked=("AWSManagedIPReputationList", "AWSManagedReconnaissanceList")
    ),
    "AWSManagedRulesKnownBadInputsRuleSet": _ManagedGroup(
        "known-bad-inputs",
        blocked=(
            "JavaDeserializationRCE_Header",
            "JavaDeserializationRCE_URIPath",
            "JavaDeserializationRCE_QueryString",
            "Host_Localhost_Header",
            "Propfind_Method",
            "ExploitablePaths_URIPath",
            "Log4JRCE_Header",
            "Log4JRCE_QueryString",
            "Log4JRCE_URIPath",
        ),
        counted=("JavaDeserializationRCE_BODY", "Log4JRCE_BODY", "ReactJSRCE_BODY"),
    ),
    "AWSManagedRulesCommonRuleSet": _ManagedGroup(
        "core-rule-set",
        blocked=(
            "BadBots_Header",
            "SizeRestrictions_QueryString",
            "SizeRestrictions_Cookie_Header",
            "SizeRestrictions_URIPath",
            "EC2MetaDataSSRF_Cookie",
            "EC2MetaDataSSRF_URIPath",
            "EC2MetaDataSSRF_QueryArguments",
            "GenericLFI_QueryArguments",
            "GenericLFI_URIPath",
            "RestrictedExtensions_URIPath",
            "RestrictedExtensions_QueryArguments",
            "GenericRFI_QueryArguments",
            "GenericRFI_URIPath",
            "CrossSiteScripting_Cookie",
            "CrossSiteScripting_QueryArguments",
            "CrossSiteScripting_URIPath",
        ),
        counted=(
            "NoUserAgent_HEADER",
            "SizeRestrictions_BODY",
            "EC2MetaDataSSRF_BODY",
            "GenericLFI_BODY",
            "GenericRFI_BODY",
            "CrossSiteScripting_BODY",
        ),
    ),
}

# What is answered, by the key of its body.
_ANSWERS: Final[Mapping[str, tuple[ErrorKind, str]]] = {
    "limited": (rate_limit_exceeded, "too many requests from this address; try again in a few minutes"),
    "refused": (access_denied, "this request looks like an attack on a web server"),
    "country": (access_denied, "this service cannot be reached from your country"),
}


def create_cdn_acl(component: Component, settings: WafSettings) -> wafv2.WebAcl:
    """Make the CDN's web ACL. The distribution itself knows the countries."""
    return _acl(component, "web-acl", "CLOUDFRONT", [_rate_rule(settings), *_managed_rules(settings)], region=CDN_REGION)


def create_api_acl(
    component: Component,
    settings: CdnFrontendSettings,
    stage_arn: pulumi.Input[str],
    access: cloudfront.OriginAccessControl,
) -> wafv2.WebAcl:
    """Make the web ACL of the API's stage.

    The rules about addresses leave out what the CDN has let through, because its requests come from CloudFront's own addresses.
    """
    from_cdn: dict[str, Any] = {
        "search_string": access.id,
        "field_to_match": {"single_header": {"name": CDN_HEADER}},
        "positional_constraint": "EXACTLY",
        "text_transformations": [{"priority": 0, "type": "NONE"}],
    }
    other = _not({"byte_match_statement": from_cdn})
    rules = [_rate_rule(settings.waf, other), *_country_rules(settings, other), *_managed_rules(settings.waf)]
    acl = _acl(component, "api-web-acl", "REGIONAL", rules)
    wafv2.WebAclAssociation(
        component.child_name("api-web-acl-association"),
        resource_arn=stage_arn,
        web_acl_arn=acl.arn,
        # A stage has one web ACL, and a deletion takes away whichever it is.
        opts=component.child("api-web-acl-association", delete_before_replace=True),
    )
    return acl


def _acl(
    component: Component, key: str, scope: str, rules: Sequence[Mapping[str, Any]], region: str | None = None
) -> wafv2.WebAcl:
    numbered: list[Any] = [{**rule, "priority": priority} for priority, rule in enumerate(rules)]
    return wafv2.WebAcl(
        component.child_name(key),
        scope=scope,
        region=region,
        default_action={"allow": {}},
        rules=numbered,
        custom_response_bodies=[
            {"key": name, "content_type": "APPLICATION_JSON", "content": _body(kind, message)}
            for name, (kind, message) in _ANSWERS.items()
        ],
        visibility_config=_visibility(component.child_name(key)),
        tags=component.tags,
        opts=component.child(key),
    )


# Rules, whose priorities are their positions


def _rate_rule(settings: WafSettings, among: Mapping[str, Any] | None = None) -> dict[str, Any]:
    rate: dict[str, Any] = {
        "limit": settings.rate_limit,
        "aggregate_key_type": "IP",
        "evaluation_window_sec": _WINDOW_SECONDS,
        **({"scope_down_statement": among} if among else {}),
    }
    headers = (("retry-after", str(_WINDOW_SECONDS)), DO_NOT_RETRY)
    return _blocking("rate", {"rate_based_statement": rate}, "limited", headers)


def _country_rules(settings: CdnFrontendSettings, among: Mapping[str, Any]) -> list[dict[str, Any]]:
    countries = settings.allow_countries or settings.deny_countries
    if countries is None:
        return []
    denied: dict[str, Any] = {"geo_match_statement": {"country_codes": list(countries)}}
    if settings.allow_countries is not None:
        denied = _not(denied)
    return [_blocking("countries", {"and_statement": {"statements": [among, denied]}}, "country")]


def _managed_rules(settings: WafSettings) -> list[dict[str, Any]]:
    """AWS's groups, which only count and label, and the rule that blocks what has one of the labels in `_GROUPS`.

    AWS adds rules to its groups without asking. So it is listed here what is blocked, not what is let through: a new rule about
    bodies would refuse prompts. All of them take some 980 of the 1,500 capacity units that the price includes.
    https://docs.aws.amazon.com/waf/latest/developerguide/waf-rule-statement-type-label-match.html
    """
    if settings.managed_rules == "off":
        return []
    rules = [_managed_group(name, group.counted) for name, group in _GROUPS.items()]
    if settings.managed_rules == "block":
        labels = [f"awswaf:managed:aws:{group.namespace}:{label}" for group in _GROUPS.values() for label in group.blocked]
        statements = [{"label_match_statement": {"scope": "LABEL", "key": label}} for label in labels]
        rules.append(_blocking("managed", {"or_statement": {"statements": statements}}, "refused"))
    return rules


def _managed_group(name: str, counted: Sequence[str]) -> dict[str, Any]:
    """The group's override keeps AWS's new rules from blocking.

    The rules' own overrides keep the group going where one of them matches: what blocks ends the group, and what comes after it
    gets no label. Of names that there are not, AWS says nothing.
    https://docs.aws.amazon.com/waf/latest/developerguide/web-acl-rule-group-override-options.html
    """
    overrides: list[Any] = [{"name": rule, "action_to_use": {"count": {}}} for rule in counted]
    group: dict[str, Any] = {"vendor_name": "AWS", "name": name, "rule_action_overrides": overrides}
    return {
        "name": name,
        "statement": {"managed_rule_group_statement": group},
        "override_action": {"count": {}},
        "visibility_config": _visibility(name),
    }


def _blocking(name: str, statement: Mapping[str, Any], answer: str, headers: Sequence[tuple[str, str]] = ()) -> dict[str, Any]:
    kind, _ = _ANSWERS[answer]
    response: dict[str, Any] = {"response_code": kind.status, "custom_response_body_key": answer}
    if headers:
        response["response_headers"] = [{"name": header, "value": value} for header, value in headers]
    return {
        "name": name,
        "statement": statement,
        "action": {"block": {"custom_response": response}},
        "visibility_config": _visibility(name),
    }


def _not(statement: Mapping[str, Any]) -> dict[str, Any]:
    return {"not_statement": {"statement": statement}}


def _body(kind: ErrorKind, message: str) -> str:
    error = {"type": kind.type, "code": kind.code, "message": message, "request_id": None}
    return json.dumps({"error": error})


def _visibility(name: str) -> wafv2.WebAclVisibilityConfigArgsDict:
    # A sample shows a request's headers, keys among them.
    return {"metric_name": name, "cloudwatch_metrics_enabled": True, "sampled_requests_enabled": False}
