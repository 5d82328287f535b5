"""The distribution: the page and the APIs at one address."""

from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import pulumi
from pulumi_aws import cloudfront, route53, s3, wafv2

from llm_gateway.operations import PATHS
from pulumi_llm.base import web_client
from pulumi_llm.base.component import Component
from pulumi_llm.cdn_frontend.args import API_PATH, WEBSOCKET_PATH, CdnDomainSettings, CdnFrontendSettings

# CloudFront's managed policies have the same ids in every account.
# https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/using-managed-cache-policies.html and the pages beside it
_CACHING_OPTIMIZED: Final = "658327ea-f89d-4fab-a63d-7e88639e58f6"
_CACHING_DISABLED: Final = "4135ea2d-6df8-44a3-9df3-4b5a84be39ad"
# API Gateway and function URLs answer 403 to a request with another Host.
_ALL_VIEWER_EXCEPT_HOST_HEADER: Final = "b689b0a8-53d0-40ab-baf2-68738e2966ac"
_SECURITY_HEADERS: Final = "67f7725c-6f97-4210-82d7-5512b31e9d03"

# The longest that CloudFront waits for an answer to begin, or to go on. What takes longer is to be asked for as a stream.
# https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/DownloadDistValuesOrigin.html
_READ_TIMEOUT: Final = 120

# The errors that CloudFront would keep for ten seconds, whatever their Cache-Control says, and give to others who ask for the
# same path. With CachingDisabled it keeps none, says one of AWS's pages; the other one, and measurements, say otherwise.
# https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/HTTPStatusCodes.html
# https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/custom-error-pages-expiration.html
_CACHED_ERRORS: Final = (404, 405, 414, 500, 501, 502, 503, 504)

# By it the API's web ACL tells the CDN's requests, whose addresses are CloudFront's, from others.
CDN_HEADER: Final = "x-llm-cdn"

# The longest that the API's description is kept; the API itself says for how long (Cache-Control).
_DESCRIPTION_SECONDS: Final = 300

_METHODS: Final = ["GET", "HEAD", "OPTIONS", "PUT", "POST", "PATCH", "DELETE"]
_YEAR: Final = 31_536_000


def create_access_control(component: Component, key: str, origin_type: str) -> cloudfront.OriginAccessControl:
    """Make what signs CloudFront's requests to an origin of AWS. The signature replaces the browser's Authorization."""
    return cloudfront.OriginAccessControl(
        component.child_name(key),
        origin_access_control_origin_type=origin_type,
        signing_behavior="always",
        signing_protocol="sigv4",
        opts=component.child(key),
    )


def create_distribution(
    component: Component,
    settings: CdnFrontendSettings,
    bucket: s3.Bucket,
    access: cloudfront.OriginAccessControl,
    acl: wafv2.WebAcl | None,
) -> cloudfront.Distribution:
    """Make the distribution, with the records of its domain."""
    origins: list[cloudfront.DistributionOriginArgsDict] = [
        {"origin_id": "page", "domain_name": bucket.bucket_regional_domain_name, "origin_access_control_id": access.id},
        _api_origin("api", settings.api_url, access),
    ]
    # CloudFront takes the first behavior that fits.
    behaviors = [_description_behavior(component, settings.api_url), _api_behavior(f"{API_PATH}/*", "api")]
    if settings.function_url is not None:
        signing = create_access_control(component, "function-access-control", "lambda")
        origins.append({**_https_origin("function", settings.function_url), "origin_access_control_id": signing.id})
        behaviors.insert(0, _api_behavior(_path(settings.api_url, "chat_stream"), "function"))
    if settings.websocket_url is not None:
        origins.append(_api_origin("websocket", settings.websocket_url, access))
        behaviors.append(_api_behavior(WEBSOCKET_PATH, "websocket"))
    domain = settings.domain
    distribution = cloudfront.Distribution(
        component.child_name("distribution"),
        enabled=True,
        comment="pulumi-llm: page and APIs",
        is_ipv6_enabled=True,
        http_version="http2and3",
        price_class=settings.price_class,
        default_root_object="index.html",
        aliases=[domain.name] if domain else None,
        origins=origins,
        default_cache_behavior=_page_behavior(component),
        ordered_cache_behaviors=behaviors,
        # Without a page of its own such an entry only says how long the error is kept.
        custom_error_responses=[{"error_code": code, "error_caching_min_ttl": 0} for code in _CACHED_ERRORS],
        restrictions={"geo_restriction": _countries(settings)},
        viewer_certificate=_certificate(domain),
        web_acl_id=acl.arn if acl else None,
        tags=component.tags,
        opts=component.child("distribution", protect=settings.deletion_protection or None),
    )
    if domain is not None and domain.zone_id is not None:
        for kind in RECORDS:
            route53.Record(
                f"{component.child_name('domain-record')}-{kind.lower()}",
                zone_id=domain.zone_id,
                name=domain.name,
                type=kind,
                aliases=[
                    {
                        "name": distribution.domain_name,
                        "zone_id": distribution.hosted_zone_id,
                        "evaluate_target_health": False,
                    }
                ],
                opts=component.child("domain-record"),
            )
    return distribution


# Of the addresses of IP versions 4 and 6.
RECORDS: Final = ("A", "AAAA")


def _api_origin(
    origin_id: str, url: pulumi.Input[str], access: cloudfront.OriginAccessControl
) -> cloudfront.DistributionOriginArgsDict:
    return {**_https_origin(origin_id, url), "custom_headers": [{"name": CDN_HEADER, "value": access.id}]}


def _https_origin(origin_id: str, url: pulumi.Input[str]) -> cloudfront.DistributionOriginArgsDict:
    return {
        "origin_id": origin_id,
        "domain_name": pulumi.Output.from_input(url).apply(lambda url: urlsplit(url).netloc),
        # After a time-out CloudFront would ask again, and a model would answer twice.
        "connection_attempts": 1,
        "custom_origin_config": {
            "http_port": 80,
            "https_port": 443,
            "origin_protocol_policy": "https-only",
            "origin_ssl_protocols": ["TLSv1.2"],
            "origin_read_timeout": _READ_TIMEOUT,
        },
    }


def _api_behavior(pattern: pulumi.Input[str], origin_id: str) -> cloudfront.DistributionOrderedCacheBehaviorArgsDict:
    return {
        "path_pattern": pattern,
        "target_origin_id": origin_id,
        "viewer_protocol_policy": "https-only",
        "allowed_methods": _METHODS,
        "cached_methods": ["GET", "HEAD"],
        # A stream is not to wait until there is enough to compress.
        "compress": False,
        "cache_policy_id": _CACHING_DISABLED,
        "origin_request_policy_id": _ALL_VIEWER_EXCEPT_HOST_HEADER,
        "response_headers_policy_id": _SECURITY_HEADERS,
    }


def _description_behavior(
    component: Component, api_url: pulumi.Input[str]
) -> cloudfront.DistributionOrderedCacheBehaviorArgsDict:
    """The API's description is the same for everyone, and the page reads it first, so it is kept for a short time.

    Else one address could use up the rate of that route, which all callers share. Nothing of a request is in the cache's key or
    goes to the API, so that nobody can make it ask again.
    """
    policy = cloudfront.CachePolicy(
        component.child_name("description-cache"),
        comment="The API's description, by its path alone",
        min_ttl=0,
        default_ttl=0,
        max_ttl=_DESCRIPTION_SECONDS,
        parameters_in_cache_key_and_forwarded_to_origin={
            "headers_config": {"header_behavior": "none"},
            "cookies_config": {"cookie_behavior": "none"},
            "query_strings_config": {"query_string_behavior": "none"},
        },
        opts=component.child("description-cache"),
    )
    behavior = _api_behavior(_path(api_url, "openapi"), "api")
    del behavior["origin_request_policy_id"]
    return {**behavior, "allowed_methods": ["GET", "HEAD"], "cache_policy_id": policy.id}


def _path(api_url: pulumi.Input[str], operation: str) -> pulumi.Output[str]:
    """The path of an operation at the CDN, which is that of the REST API's."""
    return pulumi.Output.from_input(api_url).apply(lambda url: urlsplit(url).path + PATHS[operation])


def _page_behavior(component: Component) -> cloudfront.DistributionDefaultCacheBehaviorArgsDict:
    """The page's own fallback is a function, for error pages of a distribution would replace the APIs' errors, too."""
    function = cloudfront.Function(
        component.child_name("page-function"),
        runtime="cloudfront-js-2.0",
        code=Path(__file__).with_name("page_function.js").read_text(),
        comment="Answers the page's own paths with the page",
        publish=True,
        tags=component.tags,
        opts=component.child("page-function"),
    )
    return {
        "target_origin_id": "page",
        "viewer_protocol_policy": "redirect-to-https",
        "allowed_methods": ["GET", "HEAD"],
        "cached_methods": ["GET", "HEAD"],
        "compress": True,
        "cache_policy_id": _CACHING_OPTIMIZED,
        "response_headers_policy_id": _page_headers(component).id,
        "function_associations": [{"event_type": "viewer-request", "function_arn": function.arn}],
    }


def _page_headers(component: Component) -> cloudfront.ResponseHeadersPolicy:
    return cloudfront.ResponseHeadersPolicy(
        component.child_name("page-headers"),
        comment="The page's security headers",
        security_headers_config={
            "content_security_policy": {"content_security_policy": web_client.CONTENT_SECURITY_POLICY, "override": True},
            "content_type_options": {"override": True},
            "frame_options": {"frame_option": "DENY", "override": True},
            "referrer_policy": {"referrer_policy": web_client.REFERRER_POLICY, "override": True},
            "strict_transport_security": {"access_control_max_age_sec": _YEAR, "include_subdomains": False, "override": True},
        },
        opts=component.child("page-headers"),
    )


def _countries(settings: CdnFrontendSettings) -> cloudfront.DistributionRestrictionsGeoRestrictionArgsDict:
    if settings.allow_countries is not None:
        return {"restriction_type": "whitelist", "locations": list(settings.allow_countries)}
    if settings.deny_countries is not None:
        return {"restriction_type": "blacklist", "locations": list(settings.deny_countries)}
    return {"restriction_type": "none", "locations": []}


def _certificate(domain: CdnDomainSettings | None) -> cloudfront.DistributionViewerCertificateArgsDict:
    """With CloudFront's own name nobody can choose: it takes TLS 1.0, too."""
    if domain is None:
        return {"cloudfront_default_certificate": True}
    return {
        "acm_certificate_arn": domain.certificate_arn,
        "ssl_support_method": "sni-only",
        "minimum_protocol_version": "TLSv1.2_2021",
    }
