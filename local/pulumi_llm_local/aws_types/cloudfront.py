"""CloudFront."""

from collections.abc import Callable, Mapping
from typing import Final

from pulumi_llm_local.aws_types.aws_type import AWS_DOCS, Answer, AwsType, ValueRule
from pulumi_llm_local.aws_types.draft import Draft, drawn

ZONE: Final = "Z2FDTNDATAQYW2"  # every distribution's, says Route 53's guide
_ARN: Final = "arn:{partition}:cloudfront::{account}:"
_API: Final = AWS_DOCS + "cloudfront/latest/APIReference/API_"


def _managed_policy(kind: str) -> Callable[[Draft], Answer]:
    """CloudFront's managed policies by name; one that isn't in the list here gets an id of the same form."""

    def answer(call: Draft) -> Answer:
        name = call.text("name")
        identifier = call.text("id", _MANAGED_POLICIES.get(name, call.uuid(name)))
        arn = f"arn:{call.partition}:cloudfront::{call.account}:{kind}/{identifier}"
        return {"id": identifier, "name": name, "arn": arn, "comment": "", "etag": f"E{drawn(identifier, 13, 'ABCD')}"}

    return answer


# https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/using-managed-cache-policies.html and the two
# pages beside it
_MANAGED_POLICIES: Final = {
    "Managed-AllViewer": "216adef6-5c7f-47e4-b989-5492eafa07d3",
    "Managed-AllViewerExceptHostHeader": "b689b0a8-53d0-40ab-baf2-68738e2966ac",
    "Managed-CachingDisabled": "4135ea2d-6df8-44a3-9df3-4b5a84be39ad",
    "Managed-CachingOptimized": "658327ea-f89d-4fab-a63d-7e88639e58f6",
    "Managed-SecurityHeadersPolicy": "67f7725c-6f97-4210-82d7-5512b31e9d03",
}


TYPES: Final[Mapping[str, AwsType]] = {
    "aws:cloudfront/cachePolicy:CachePolicy": AwsType(
        outputs={"id": "{uuid}", "arn": _ARN + "cache-policy/{id}", "etag": "E{tag.upper13}"},
        replaced_by="",
        api="cloudfront CreateCachePolicy.CachePolicyConfig",
    ),
    "aws:cloudfront/distribution:Distribution": AwsType(
        outputs={
            "id": "E{upper13}",
            "arn": _ARN + "distribution/{id}",
            "domainName": "d{lower13}.cloudfront.net",
            "hostedZoneId": ZONE,
            "status": "Deployed",
            "etag": "E{tag.upper13}",
            "callerReference": "terraform-{digits26}",
            "inProgressValidationBatches": 0,
            "lastModifiedTime": "2026-01-01 00:00:00 +0000 UTC",
            "loggingV1Enabled": False,
            "trustedKeyGroups": [{"enabled": False, "items": []}],
            "trustedSigners": [{"enabled": False, "items": []}],
        },
        replaced_by="staging",
        stateful="callers have its address",
        api="cloudfront CreateDistribution.DistributionConfig",
        rules={
            # Of 412 and 415 "CloudFront doesn't support creating custom error pages"; 416 is on the page about their time.
            "customErrorResponses.errorCode": ValueRule(
                AWS_DOCS + "AmazonCloudFront/latest/DeveloperGuide/HTTPStatusCodes.html",
                values=(400, 403, 404, 405, 414, 416, 500, 501, 502, 503, 504),
            ),
            "defaultCacheBehavior.cachedMethods": ValueRule(
                _API + "AllowedMethods.html", member="AllowedMethods.CachedMethods"
            ),
            "orderedCacheBehaviors": ValueRule(_API + "DistributionConfig.html", member="CacheBehaviors"),
            "orderedCacheBehaviors.cachedMethods": ValueRule(
                _API + "AllowedMethods.html", member="AllowedMethods.CachedMethods"
            ),
        },
    ),
    "aws:cloudfront/function:Function": AwsType(
        outputs={
            "id": "{name}",
            "arn": _ARN + "function/{name}",
            "etag": "E{tag.upper13}",
            "liveStageEtag": "E{live.upper13}",
            "status": "UNASSOCIATED",
        },
        replaced_by="name",
        api="cloudfront CreateFunction CreateFunction.FunctionConfig",
        rules={"code": ValueRule(AWS_DOCS + "AmazonCloudFront/latest/DeveloperGuide/cloudfront-limits.html", high=10240)},
    ),
    "aws:cloudfront/originAccessControl:OriginAccessControl": AwsType(
        outputs={"id": "E{upper13}", "arn": _ARN + "origin-access-control/{id}", "etag": "E{tag.upper13}"},
        replaced_by="",
        api="cloudfront CreateOriginAccessControl.OriginAccessControlConfig",
    ),
    "aws:cloudfront/responseHeadersPolicy:ResponseHeadersPolicy": AwsType(
        outputs={"id": "{uuid}", "arn": _ARN + "response-headers-policy/{id}", "etag": "E{tag.upper13}"},
        replaced_by="",
        api="cloudfront CreateResponseHeadersPolicy.ResponseHeadersPolicyConfig",
    ),
}

INVOKES: Final[Mapping[str, Callable[[Draft], Answer]]] = {
    "aws:cloudfront/getCachePolicy:getCachePolicy": _managed_policy("cache-policy"),
    "aws:cloudfront/getOriginRequestPolicy:getOriginRequestPolicy": _managed_policy("origin-request-policy"),
    "aws:cloudfront/getResponseHeadersPolicy:getResponseHeadersPolicy": _managed_policy("response-headers-policy"),
}
