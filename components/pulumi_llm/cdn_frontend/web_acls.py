"""The web ACLs: of the CDN, and of the API's own address.

They bound what an address may ask for. Who may call a model is for the API's authorizer to decide, by whatever way a request
comes.
"""

import json
from collections.abc import Mapping
from typing import Any, Final

import pulumi
from pulumi_aws import cloudfront, wafv2

from llm_gateway.errors import rate_limit_exceeded
from pulumi_llm.base.component import Component
from pulumi_llm.cdn_frontend.args import WafSettings
from pulumi_llm.cdn_frontend.distribution import CDN_HEADER

# CloudFront's web ACLs and logs are there. https://docs.aws.amazon.com/waf/latest/developerguide/how-aws-waf-works-resources.html
CDN_REGION: Final = "us-east-1"

_WINDOW_SECONDS: Final = 300

# AWS's groups, and those of their rules that look at the body. A prompt may hold a script, a path or an exploit, and may have
# more than 8 KB.
# https://docs.aws.amazon.com/waf/latest/developerguide/aws-managed-rule-groups-baseline.html
_GROUPS: Final[Mapping[str, tuple[str, ...]]] = {
    "AWSManagedRulesAmazonIpReputationList": (),
    "AWSManagedRulesKnownBadInputsRuleSet": (
        "JavaDeserializationRCE_BODY",
        "Log4JRCE_BODY",
        "ReactJSRCE_BODY",
    ),
    "AWSManagedRulesCommonRuleSet": (
        "SizeRestrictions_BODY",
        "EC2MetaDataSSRF_BODY",
        "GenericLFI_BODY",
        "GenericRFI_BODY",
        "CrossSiteScripting_BODY",
    ),
}


def create_cdn_acl(component: Component, settings: WafSettings) -> wafv2.WebAcl:
    """Make the CDN's web ACL."""
    return _acl(component, "web-acl", "CLOUDFRONT", settings, _rate_statement(settings), region=CDN_REGION)


def create_api_acl(
    component: Component,
    settings: WafSettings,
    stage_arn: pulumi.Input[str],
    access: cloudfront.OriginAccessControl,
) -> wafv2.WebAcl:
    """Make the web ACL of the API's stage.

    Its rate rule leaves out what the CDN has let through, because the CDN's requests come from few addresses.
    """
    from_cdn: dict[str, Any] = {
        "search_string": access.id,
        "field_to_match": {"single_header": {"name": CDN_HEADER}},
        "positional_constraint": "EXACTLY",
        "text_transformations": [{"priority": 0, "type": "NONE"}],
    }
    other = {"not_statement": {"statement": {"byte_match_statement": from_cdn}}}
    acl = _acl(component, "api-web-acl", "REGIONAL", settings, {**_rate_statement(settings), "scope_down_statement": other})
    wafv2.WebAclAssociation(
        component.child_name("api-web-acl-association"),
        resource_arn=stage_arn,
        web_acl_arn=acl.arn,
        opts=component.child("api-web-acl-association"),
    )
    return acl


def _acl(
    component: Component, key: str, scope: str, settings: WafSettings, rate: dict[str, Any], region: str | None = None
) -> wafv2.WebAcl:
    limited: dict[str, Any] = {
        "response_code": rate_limit_exceeded.status,
        "custom_response_body_key": "limited",
        "response_headers": [{"name": "retry-after", "value": str(_WINDOW_SECONDS)}],
    }
    rules: list[Any] = [
        {
            "name": "rate",
            "priority": 0,
            "statement": {"rate_based_statement": rate},
            "action": {"block": {"custom_response": limited}},
            "visibility_config": _visibility("rate"),
        }
    ]
    if settings.managed_rules != "off":
        rules += [_managed(priority, name, settings.managed_rules) for priority, name in enumerate(_GROUPS, 1)]
    error = {
        "type": rate_limit_exceeded.type,
        "code": rate_limit_exceeded.code,
        "message": "too many requests from this address; try again in a few minutes",
        "request_id": None,
    }
    return wafv2.WebAcl(
        component.child_name(key),
        scope=scope,
        region=region,
        default_action={"allow": {}},
        rules=rules,
        custom_response_bodies=[
            {"key": "limited", "content_type": "APPLICATION_JSON", "content": json.dumps({"error": error})}
        ],
        visibility_config=_visibility(component.child_name(key)),
        tags=component.tags,
        opts=component.child(key),
    )


def _rate_statement(settings: WafSettings) -> dict[str, Any]:
    return {"limit": settings.rate_limit, "aggregate_key_type": "IP", "evaluation_window_sec": _WINDOW_SECONDS}


def _managed(priority: int, name: str, mode: str) -> dict[str, Any]:
    counted: list[Any] = [{"name": rule, "action_to_use": {"count": {}}} for rule in _GROUPS[name]]
    group: dict[str, Any] = {"vendor_name": "AWS", "name": name, "rule_action_overrides": counted}
    return {
        "name": name,
        "priority": priority,
        "statement": {"managed_rule_group_statement": group},
        "override_action": {"count": {}} if mode == "count" else {"none": {}},
        "visibility_config": _visibility(name),
    }


def _visibility(name: str) -> wafv2.WebAclVisibilityConfigArgsDict:
    # A sample shows a request's headers, keys among them.
    return {"metric_name": name, "cloudwatch_metrics_enabled": True, "sampled_requests_enabled": False}
