"""Rules on what the internet can reach: buckets, clusters, nodes, networks, distributions."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from llm_policies import networks
from llm_policies.rule import AWS_DOCS, BOOLEAN, Resource, Rule, Setting, Settings
from llm_policies.stacks import Found, companions, each_resource, of_type
from llm_policies.tls import BUCKETS
from llm_policies.values import NotVerified, Value, each

# What is left out is false in the first two, which then switch it off, and true in the others.
_OPEN_BY_DEFAULT: Final = (
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock",
    "aws:s3/accountPublicAccessBlock:AccountPublicAccessBlock",
)
_BLOCKS: Final[Mapping[str, str]] = {
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": "",
    "aws:s3/accountPublicAccessBlock:AccountPublicAccessBlock": "",
    "aws:s3/accessPoint:AccessPoint": "publicAccessBlockConfiguration",
    "aws:s3control/multiRegionAccessPoint:MultiRegionAccessPoint": "details.publicAccessBlock",
}
_WEBSITES: Final = (
    "aws:s3/bucketWebsiteConfiguration:BucketWebsiteConfiguration",
    "aws:s3/bucketWebsiteConfigurationV2:BucketWebsiteConfigurationV2",
)
_ACLS: Final = ("aws:s3/bucketAcl:BucketAcl", "aws:s3/bucketAclV2:BucketAclV2")
_OBJECTS: Final = (
    "aws:s3/bucketObject:BucketObject",
    "aws:s3/bucketObjectv2:BucketObjectv2",
    "aws:s3/objectCopy:ObjectCopy",
)
_FOUR: Final = ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")


def _public_access_blocked(resource: Resource, _: Settings) -> Iterator[str]:
    # A new bucket is blocked in all four ways by AWS itself: what is wrong is to open it.
    # https://docs.aws.amazon.com/AmazonS3/latest/userguide/create-bucket-faq.html
    path = _BLOCKS[resource.type]
    block = resource.at(path) if path else resource.properties
    if resource.type in _OPEN_BY_DEFAULT:
        yield from each((block[name] for name in _FOUR), _is_true)
    elif not block.missing:
        yield from each((block[name] for name in _FOUR if block[name].data is not None), _is_true)


def _is_true(value: Value) -> Iterator[str]:
    if not value.flag():
        yield f"{value.path} is not true: the public access block lets that way open"


def _no_public_acl(resource: Resource, _: Settings) -> Iterator[str]:
    acl = resource["acl"]
    if acl.equals("public-read", "public-read-write", "authenticated-read"):
        yield f"acl is {acl.text()}: it is open to everybody, or to every AWS customer; leave it out"
    inline = resource.type not in _ACLS
    grants = resource["grants"] if inline else resource.at("accessControlPolicy.grants")
    yield from each(grants.items(), lambda grant: _public_group(grant.at("uri" if inline else "grantee.uri")))


def _public_group(uri: Value) -> Iterator[str]:
    if uri.text().endswith(("/global/AllUsers", "/global/AuthenticatedUsers")):
        yield f"{uri.path} is {uri.text().rpartition('/')[2]}: it is open to everybody, or to every AWS customer"


def _no_website(resource: Resource, _: Settings) -> Iterator[str]:
    if resource.type in _WEBSITES:
        if resource["redirectAllRequestsTo"].missing:
            yield "a website endpoint serves plain HTTP, and needs a public bucket: serve it by CloudFront with access control"
    elif any(not site.missing for site in (*resource["website"].items(), *resource["websites"].items())):
        yield "website: its endpoint serves plain HTTP, and needs a public bucket: serve it by CloudFront with access control"


def _eks_endpoint_private(cluster: Resource, settings: Settings) -> Iterator[str]:
    config = cluster["vpcConfig"]
    if not config["endpointPublicAccess"].flag(default=True):
        return
    if not settings["allow_cidrs"]:
        yield "vpcConfig.endpointPublicAccess is not false: reach the API from within the network alone"
        return
    cidrs = config["publicAccessCidrs"]
    if not cidrs.items():
        yield "vpcConfig.publicAccessCidrs is missing, which means 0.0.0.0/0: name your networks, or switch public access off"
    yield from each(cidrs.items(), _open_cidr)


def _open_cidr(cidr: Value) -> Iterator[str]:
    if networks.is_everywhere(cidr.text()):
        yield f"{cidr.path} is {cidr.text()}: the cluster's API answers the internet; name your networks"


def _endpoint_service_names_callers(resource: Resource, _: Settings) -> Iterator[str]:
    if resource.type == _PRINCIPAL:
        yield from _anyone(resource["principalArn"])
    else:
        yield from each(resource["allowedPrincipals"].items(), _anyone)


def _anyone(principal: Value) -> Iterator[str]:
    if principal.text() == "*":
        yield f"{principal.path} is '*': every AWS account may connect; name the accounts, roles or users"


_PRINCIPAL: Final = "aws:ec2/vpcEndpointServiceAllowedPrinciple:VpcEndpointServiceAllowedPrinciple"


def _is_s3(origin: Value) -> bool:
    domain = origin["domainName"].text()
    first, _, rest = domain.partition(".s3")
    return bool(first) and rest.startswith((".", "-")) and ".amazonaws.com" in rest and not rest.startswith("-website")


def _cloudfront_oac(distribution: Resource, _: Settings) -> Iterator[str]:
    def origin(value: Value) -> Iterator[str]:
        identity = value.at("s3OriginConfig.originAccessIdentity")
        if not value["s3OriginConfig"].missing and identity.text():
            yield f"{identity.path}: an origin access identity is superseded; use an OriginAccessControl"
        elif value["originAccessControlId"].missing and (not value["s3OriginConfig"].missing or _is_s3(value)):
            yield f"{value.path}.originAccessControlId is missing: the bucket could only be read by making it public"

    yield from each(distribution["origins"].items(), origin)


def _cloudfront_security_headers(distribution: Resource, _: Settings) -> Iterator[str]:
    if not distribution.at("defaultCacheBehavior.responseHeadersPolicyId").text():
        yield (
            "defaultCacheBehavior.responseHeadersPolicyId is missing: pages come without Strict-Transport-Security; "
            "name a policy, such as Managed-SecurityHeadersPolicy"
        )


def _cloudfront_logging(resources: Sequence[Resource], _: Settings) -> Found:
    def distribution(resource: Resource) -> Iterator[str]:
        # The newer logs are a delivery source of CloudWatch Logs that names the distribution's ARN.
        if not resource.at("loggingConfig.bucket").missing:
            return
        sources, unverified = companions(resource, resources, _DELIVERIES, "resourceArn", ("arn",))
        if not sources:
            if unverified:
                raise NotVerified(unverified)
            yield "it has neither a loggingConfig.bucket nor a LogDeliverySource: nothing tells afterwards who asked for what"

    yield from each_resource(of_type(resources, *_DISTRIBUTIONS), distribution)


_DISTRIBUTIONS: Final = ("aws:cloudfront/distribution:Distribution",)
_DELIVERIES: Final = ("aws:cloudwatch/logDeliverySource:LogDeliverySource",)


RULES: Final[tuple[Rule, ...]] = (
    Rule(
        name="s3-public-access-blocked",
        title="No block of public access, which AWS gives to every bucket, is opened.",
        severity="high",
        why="A later policy or an upload's ACL can make objects public; the block holds against both.",
        fix="All four settings true, for buckets, access points and the account; or no block of your own: AWS's is true.",
        check=_public_access_blocked,
        types=tuple(_BLOCKS),
        frameworks=("AWS FSBP S3.8", "CIS AWS 3.0 2.1.4"),
        url=f"{AWS_DOCS}/AmazonS3/latest/userguide/access-control-block-public-access.html",
    ),
    Rule(
        name="s3-no-public-acl",
        title="No bucket's and no object's ACL is public.",
        severity="critical",
        why="A public ACL shows the bucket's list, and often its objects, to everybody.",
        fix="Leave the ACL out: new buckets have none, and policies say who may read.",
        check=_no_public_acl,
        types=(*BUCKETS, *_ACLS, *_OBJECTS),
        frameworks=("AWS FSBP S3.2", "AWS FSBP S3.3"),
        url=f"{AWS_DOCS}/AmazonS3/latest/userguide/acl-overview.html",
    ),
    Rule(
        name="s3-no-website",
        title="No bucket is a website by itself.",
        severity="medium",
        why="S3's website endpoints speak only plain HTTP, and their buckets have to be public.",
        fix="A CloudFront distribution in front of the private bucket, with an `OriginAccessControl`.",
        check=_no_website,
        types=(*BUCKETS, *_WEBSITES),
        url=f"{AWS_DOCS}/AmazonS3/latest/userguide/WebsiteEndpoints.html",
    ),
    Rule(
        name="eks-endpoint-private",
        title="A cluster's API answers no one but your networks.",
        severity="high",
        why="An API server on the internet is one stolen token, or one bug, away from the GPU nodes.",
        fix="`endpoint_public_access=False`, or `public_access_cidrs` with the networks that deploy.",
        check=_eks_endpoint_private,
        types=("aws:eks/cluster:Cluster",),
        settings={
            "allow_cidrs": Setting(
                True, BOOLEAN, "Whether a public endpoint that takes only some networks is right; else it is none."
            )
        },
        frameworks=("AWS FSBP EKS.1",),
        url=f"{AWS_DOCS}/eks/latest/userguide/cluster-endpoint.html",
    ),
    Rule(
        name="endpoint-service-names-callers",
        title="An endpoint service names who may connect.",
        severity="high",
        why="With `*`, and without acceptance, its balancer is public: any AWS account reaches it from a VPC of its own.",
        fix="`allowed_principals` with the ARNs of the callers' accounts, roles or users.",
        check=_endpoint_service_names_callers,
        types=("aws:ec2/vpcEndpointService:VpcEndpointService", _PRINCIPAL),
        url=f"{AWS_DOCS}/vpc/latest/privatelink/configure-endpoint-service.html",
    ),
    *networks.RULES,
    Rule(
        name="cloudfront-oac",
        title="A distribution reads its buckets by origin access control.",
        severity="medium",
        why="Without it the bucket has to be public, and its objects can be had around the distribution's rules.",
        fix="An `OriginAccessControl` (s3, always, sigv4) as the origin's `origin_access_control_id`, no identity.",
        check=_cloudfront_oac,
        types=_DISTRIBUTIONS,
        frameworks=("AWS FSBP CloudFront.13",),
        url=f"{AWS_DOCS}/AmazonCloudFront/latest/DeveloperGuide/private-content-restricting-access-to-s3.html",
    ),
    Rule(
        name="cloudfront-security-headers",
        title="A distribution's pages come with security headers.",
        severity="medium",
        why="Headers such as Strict-Transport-Security and Content-Security-Policy keep a page from being framed or scripted.",
        fix="`response_headers_policy_id` of a `ResponseHeadersPolicy`, or of Managed-SecurityHeadersPolicy.",
        check=_cloudfront_security_headers,
        types=_DISTRIBUTIONS,
        url=f"{AWS_DOCS}/AmazonCloudFront/latest/DeveloperGuide/adding-response-headers.html",
    ),
    Rule(
        name="cloudfront-logging",
        title="A distribution's requests are logged.",
        severity="low",
        why="After an abuse only the edge's log tells who asked for what.",
        fix="A `logging_config`, or a CloudWatch `LogDeliverySource` of the distribution.",
        check_stack=_cloudfront_logging,
        types=(*_DISTRIBUTIONS, *_DELIVERIES),
        frameworks=("AWS FSBP CloudFront.5",),
        url=f"{AWS_DOCS}/AmazonCloudFront/latest/DeveloperGuide/AccessLogs.html",
    ),
)
