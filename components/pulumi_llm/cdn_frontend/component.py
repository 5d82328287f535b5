"""CdnFrontend: the web client and the APIs behind one address."""

from collections.abc import Collection, Mapping
from types import MappingProxyType

import pulumi
from pulumi_aws import cloudfront, cloudwatch, lambda_, route53, s3, ssm, wafv2

from pulumi_llm.base.component import Component
from pulumi_llm.base.location import Location
from pulumi_llm.base.parameters import create_parameters
from pulumi_llm.base.settings import read_arguments
from pulumi_llm.cdn_frontend.access_logs import log_requests
from pulumi_llm.cdn_frontend.args import CdnFrontendSettings
from pulumi_llm.cdn_frontend.args_types import CdnFrontendArgs
from pulumi_llm.cdn_frontend.bucket import create_bucket, let_cdn_read
from pulumi_llm.cdn_frontend.distribution import RECORDS, create_access_control, create_distribution
from pulumi_llm.cdn_frontend.files import file_names, upload
from pulumi_llm.cdn_frontend.function_origin import let_cdn_call
from pulumi_llm.cdn_frontend.web_acls import create_api_acl, create_cdn_acl

# The outputs that other stacks need.
PARAMETERS = (
    "url",
    "distribution_id",
    "distribution_arn",
    "distribution_domain_name",
    "distribution_hosted_zone_id",
    "bucket_name",
    "bucket_arn",
)


class CdnFrontend(Component):
    """The web client on CloudFront, from a private bucket, with the REST API and the WebSocket API at the same address.

    Raises `pulumi.InputPropertiesError` that lists every argument that is wrong.
    """

    CHILDREN = MappingProxyType(
        {
            "bucket": s3.Bucket,
            "bucket-ownership": s3.BucketOwnershipControls,
            "bucket-encryption": s3.BucketServerSideEncryptionConfiguration,
            "bucket-access-block": s3.BucketPublicAccessBlock,
            "bucket-policy": s3.BucketPolicy,
            "web-acl": wafv2.WebAcl,
            "access-control": cloudfront.OriginAccessControl,
            "page-function": cloudfront.Function,
            "page-headers": cloudfront.ResponseHeadersPolicy,
            "description-cache": cloudfront.CachePolicy,
            "function-access-control": cloudfront.OriginAccessControl,
            "distribution": cloudfront.Distribution,
            "function-url-permission": lambda_.Permission,
            "function-permission": lambda_.Permission,
            "domain-record": route53.Record,
            "api-web-acl": wafv2.WebAcl,
            "api-web-acl-association": wafv2.WebAclAssociation,
            "logs": cloudwatch.LogGroup,
            "logs-policy": cloudwatch.LogResourcePolicy,
            "log-source": cloudwatch.LogDeliverySource,
            "log-destination": cloudwatch.LogDeliveryDestination,
            "log-delivery": cloudwatch.LogDelivery,
            "config": s3.BucketObjectv2,
            "file": s3.BucketObjectv2,
            "parameter": ssm.Parameter,
        }
    )

    url: pulumi.Output[str]
    """The page's URL: the domain's where there is one. The APIs are at /api and /ws of it."""
    distribution_id: pulumi.Output[str]
    """The CloudFront distribution."""
    distribution_arn: pulumi.Output[str]
    """Its ARN."""
    distribution_domain_name: pulumi.Output[str]
    """CloudFront's name for it, to which a record of your own points."""
    distribution_hosted_zone_id: pulumi.Output[str]
    """The hosted zone of that name, for an alias record."""
    bucket_name: pulumi.Output[str]
    """The bucket that holds the page."""
    bucket_arn: pulumi.Output[str]
    """Its ARN."""
    web_acl_arn: pulumi.Output[str]
    """The CDN's web ACL. Empty without one."""
    api_web_acl_arn: pulumi.Output[str]
    """The web ACL of the API's own address. Empty without one."""
    access_log_group_name: pulumi.Output[str]
    """The log group of the CDN's access logs, in us-east-1. Empty without access logs."""
    access_log_group_arn: pulumi.Output[str]
    """Its ARN. Empty without access logs."""

    def __init__(self, name: str, args: CdnFrontendArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        settings, _ = read_arguments(type(self).__name__, name, CdnFrontendSettings, args, self.CHILDREN, opts, _made)
        super().__init__(name, opts, settings.tags, settings.customize)
        bucket = create_bucket(self)
        access = create_access_control(self, "access-control", "s3")
        acl = create_cdn_acl(self, settings.waf) if settings.waf.enabled else None
        api_acl = None
        if settings.waf.enabled and settings.api_stage_arn is not None:
            api_acl = create_api_acl(self, settings, settings.api_stage_arn, access)
        distribution = create_distribution(self, settings, bucket, access, acl)
        policy = let_cdn_read(self, bucket, distribution)
        if settings.function_alias_arn is not None:
            let_cdn_call(self, settings.function_alias_arn, distribution)
        logs = log_requests(self, distribution, settings.log_retention_days) if settings.access_logs else None
        upload(self, settings, bucket, [policy])

        domain = settings.domain
        self.url = pulumi.Output.format("https://{}", domain.name if domain else distribution.domain_name)
        self.distribution_id, self.distribution_arn = distribution.id, distribution.arn
        self.distribution_domain_name = distribution.domain_name
        self.distribution_hosted_zone_id = distribution.hosted_zone_id
        self.bucket_name, self.bucket_arn = bucket.bucket, bucket.arn
        nothing = pulumi.Output.from_input("")
        self.web_acl_arn = acl.arn if acl else nothing
        self.api_web_acl_arn = api_acl.arn if api_acl else nothing
        self.access_log_group_name, self.access_log_group_arn = (logs.name, logs.arn) if logs else (nothing, nothing)
        if settings.parameter_prefix is not None:
            create_parameters(self, settings.parameter_prefix, PARAMETERS)
        self.finish()


def _made(settings: CdnFrontendSettings, location: Location) -> Mapping[str, Collection[str]]:
    """What stands behind the keys in the names of their children: "" where nothing does, nothing where there is none."""
    waf = settings.valid("waf") and settings.waf.enabled
    parts = {
        "web-acl": waf,
        "api-web-acl": waf and settings.api_stage_arn is not None,
        "api-web-acl-association": waf and settings.api_stage_arn is not None,
        **{key: settings.function_url is not None for key in CdnFrontend.CHILDREN if key.startswith("function-")},
        **{key: settings.access_logs for key in CdnFrontend.CHILDREN if key.startswith("log")},
    }
    records = settings.domain is not None and settings.domain.zone_id is not None
    return {
        **{key: [""] if made else [] for key, made in parts.items()},
        "file": list(file_names(settings.page_files()).values()),
        "domain-record": [kind.lower() for kind in RECORDS] if records else [],
        "parameter": [output.replace("_", "-") for output in PARAMETERS] if settings.parameter_prefix else [],
    }
