"""Rules on encryption in transit: buckets, custom domains, load balancers, distributions."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from llm_policies.documents import Document, Statement
from llm_policies.rule import AWS_DOCS, BOOLEAN, Resource, Rule, Setting, Settings
from llm_policies.stacks import Found, companions, each_resource, given, of_type, same
from llm_policies.values import NotVerified, State, Value, each_at

BUCKETS: Final = ("aws:s3/bucket:Bucket", "aws:s3/bucketV2:BucketV2")
_POLICIES: Final = ("aws:s3/bucketPolicy:BucketPolicy",)


def _s3_tls_only(resources: Sequence[Resource], _: Settings) -> Found:
    def bucket(resource: Resource) -> Iterator[str]:
        policies, unverified = companions(resource, resources, _POLICIES, "bucket", ("id", "bucket"))
        documents = [policy["policy"] for policy in policies]
        inline = given(resource, "policy")
        if inline.state is not State.MISSING and not policies:
            documents.append(inline)
        if any(document.state is State.KNOWN and _denies_plain_http(document) for document in documents):
            return
        if unverified or any(document.state is State.UNKNOWN for document in documents):
            raise NotVerified(unverified or f"{resource.name}.policy")
        what = "its policy does not deny" if documents else "it has no policy that denies"
        yield f"{what} requests without TLS: deny s3:* where aws:SecureTransport is false, on the bucket and its objects"

    yield from each_resource(of_type(resources, *BUCKETS), bucket)


def _denies_plain_http(policy: Value) -> bool:
    """Whether a policy denies all requests without TLS to the bucket's objects."""
    return any(_is_tls_denial(statement) for statement in Document("resource", policy).statements())


def _is_tls_denial(statement: Statement) -> bool:
    everybody = any(item.equals("*") for item in statement.principals("AWS"))
    everything = any(item.equals("*", "s3:*") for item in statement.value["Action"].items())
    named = [item.text() for item in statement.value["Resource"].items()]
    objects = any(name == "*" or name.endswith("/*") for name in named)
    # Lists of objects and their versions are asked of the bucket itself.
    bucket = any(not name.endswith("/*") for name in named)
    if not (statement.denies and everybody and everything and objects and bucket):
        return False
    # A further condition would exempt those who do not meet it.
    tests = [(one.operator.lower(), one.key, [value.lower() for value in one.values]) for one in statement.conditions()]
    return tests in ([(operator, "aws:securetransport", ["false"])] for operator in ("bool", "boolifexists"))


def _domain_tls(domain: Resource, _: Settings) -> Iterator[str]:
    path = "domainNameConfiguration.securityPolicy" if domain.type.startswith("aws:apigatewayv2/") else "securityPolicy"
    # A Regional domain gets TLS_1_2 by itself, an edge-optimized one TLS_1_0: only what is written is sure.
    policy = domain.at(path).text()
    if policy == "TLS_1_0" or (policy.startswith("SecurityPolicy_") and "TLS13" not in policy and "TLS12" not in policy):
        yield f"{path} is {policy}: clients may use TLS 1.0; write TLS_1_2 or a SecurityPolicy_TLS13_…"
    elif not policy:
        yield f"{path} is missing: which TLS versions clients may use is left to a default; write TLS_1_2"


_UPSTREAMS: Final[Mapping[str, str]] = {
    "aws:apigateway/integration:Integration": "uri",
    "aws:apigatewayv2/integration:Integration": "integrationUri",
    "aws:appsync/dataSource:DataSource": "httpConfig.endpoint",
}


def _upstream_tls(resource: Resource, _: Settings) -> Iterator[str]:
    # A VPC link stays within networks of one's own.
    if resource["connectionType"].equals("VPC_LINK"):
        return
    address = resource.at(_UPSTREAMS[resource.type])
    if address.text().lower().startswith("http://"):
        yield f"{address.path} begins with http://: prompts and keys cross the internet in plain text; write https://"


_LISTENERS: Final = ("aws:lb/listener:Listener", "aws:alb/listener:Listener")
_BALANCERS: Final = ("aws:lb/loadBalancer:LoadBalancer", "aws:alb/loadBalancer:LoadBalancer")
_CLASSIC: Final = "aws:elb/loadBalancer:LoadBalancer"
_MODERN_POLICY: Final = re.compile(r"ELBSecurityPolicy-(TLS13-1-[23]|TLS-1-2|FS-1-2)(-.+)?")


def _listener_tls(resources: Sequence[Resource], settings: Settings) -> Found:
    balancers = of_type(resources, *_BALANCERS)

    def listener(resource: Resource) -> Iterator[str]:
        # An Application Load Balancer's listener speaks HTTP where it says nothing; a Gateway Load Balancer's has no port.
        protocol = resource["protocol"].text("" if resource["port"].missing else "HTTP").upper()
        if protocol in {"HTTPS", "TLS"}:
            policy = given(resource, "sslPolicy").text()
            if not _MODERN_POLICY.fullmatch(policy):
                is_what = f"is {policy}" if policy else "is missing, which means ELBSecurityPolicy-2016-08"
                yield f"sslPolicy {is_what}: it takes TLS 1.0; write ELBSecurityPolicy-TLS13-1-2-Res-2021-06 or newer"
        elif protocol == "HTTP" and not _answers_nothing_in_plain(resource["defaultActions"]):
            if not settings["internal"] and _is_internal(resource, balancers):
                return
            yield "protocol is HTTP and defaultActions serve requests: redirect to HTTPS (redirect.protocol HTTPS, HTTP_301)"

    def classic(resource: Resource) -> Iterator[str]:
        for entry in resource["listeners"].items():
            plain = entry["lbProtocol"].text().lower() == "http"
            if plain and (settings["internal"] or not given(resource, "internal").flag()):
                yield f"{entry.path}.lbProtocol is http: a classic load balancer cannot redirect; serve https alone"

    yield from each_resource(of_type(resources, *_LISTENERS), listener)
    yield from each_resource(of_type(resources, _CLASSIC), classic)


def _answers_nothing_in_plain(actions: Value) -> bool:
    """Whether a listener only redirects to HTTPS or rejects. A redirect that names no protocol keeps the current one."""
    return bool(actions.items()) and all(
        action["type"].equals("fixed-response")
        or (action["type"].equals("redirect") and action.at("redirect.protocol").equals("HTTPS"))
        for action in actions.items()
    )


def _is_internal(listener: Resource, balancers: Sequence[Resource]) -> bool:
    """Whether the listener's load balancer is known to be internal."""
    origins = listener.dependencies.get("loadBalancerArn", ())
    arn = listener["loadBalancerArn"]
    for balancer in balancers:
        by_arn = arn.state is State.KNOWN and balancer["arn"].state is State.KNOWN and balancer["arn"].equals(arn.plain)
        if by_arn or any(same(origin, balancer) for origin in origins):
            return given(balancer, "internal").flag()
    if not origins:
        _ = arn.plain  # not known: it may be any load balancer of the program
    return False


def _cloudfront_tls(distribution: Resource, settings: Settings) -> Iterator[str]:
    yield from each_at(
        distribution.properties,
        (
            ("defaultCacheBehavior", _behaviour_tls),
            ("orderedCacheBehaviors[]", _behaviour_tls),
            ("viewerCertificate", lambda certificate: _viewer_tls(certificate, settings)),
            ("origins[]", _origin_tls),
        ),
    )


def _behaviour_tls(behaviour: Value) -> Iterator[str]:
    if behaviour["viewerProtocolPolicy"].equals("allow-all"):
        yield f"{behaviour.path}.viewerProtocolPolicy is allow-all: write redirect-to-https or https-only"


def _viewer_tls(certificate: Value, settings: Settings) -> Iterator[str]:
    # With CloudFront's own certificate nobody can choose: *.cloudfront.net takes TLSv1.
    if certificate["cloudfrontDefaultCertificate"].flag():
        return
    version, minimum = certificate["minimumProtocolVersion"].text("TLSv1"), settings["minimum"]
    if version in _VERSIONS and _VERSIONS.index(version) < _VERSIONS.index(minimum):
        yield f"{certificate.path}.minimumProtocolVersion is {version}: write {minimum} or newer"


def _origin_tls(origin: Value) -> Iterator[str]:
    config = origin["customOriginConfig"]
    if config["originProtocolPolicy"].equals("http-only"):
        yield f"{config.path}.originProtocolPolicy is http-only: prompts travel to the origin in plain text; write https-only"
    elif old := sorted(item.text() for item in config["originSslProtocols"].items() if not item.equals("TLSv1.2")):
        yield f"{config.path}.originSslProtocols has {', '.join(old)}: write only TLSv1.2"


_VERSIONS: Final = (
    "SSLv3",
    "TLSv1",
    "TLSv1_2016",
    "TLSv1.1_2016",
    "TLSv1.2_2018",
    "TLSv1.2_2019",
    "TLSv1.2_2021",
    "TLSv1.2_2025",
    "TLSv1.3_2025",
)

RULES: Final[tuple[Rule, ...]] = (
    Rule(
        name="s3-tls-only",
        title="Buckets refuse requests without TLS.",
        severity="medium",
        why="S3 answers plain HTTP too: uploads, answers and signed requests could be read on their way.",
        fix="A `BucketPolicy` that denies `s3:*` to everybody where `aws:SecureTransport` is false, on the bucket and `/*`.",
        check_stack=_s3_tls_only,
        types=(*BUCKETS, *_POLICIES),
        frameworks=("AWS FSBP S3.5", "CIS AWS 3.0 2.1.1"),
        url=f"{AWS_DOCS}/AmazonS3/latest/userguide/security-best-practices.html",
    ),
    Rule(
        name="apigateway-domain-tls",
        title="An API's custom domain takes TLS 1.2 or newer only.",
        severity="medium",
        why="TLS 1.0 and 1.1 are broken: an API key sent over them can be read.",
        fix='`security_policy="TLS_1_2"`, or a `SecurityPolicy_TLS13_…`.',
        check=_domain_tls,
        types=("aws:apigateway/domainName:DomainName", "aws:apigatewayv2/domainName:DomainName"),
        url=f"{AWS_DOCS}/apigateway/latest/developerguide/apigateway-custom-domain-tls-version.html",
    ),
    Rule(
        name="integration-tls",
        title="APIs pass requests on over TLS.",
        severity="high",
        why="What a caller sent by HTTPS goes on to the server in plain text, over the internet, with its key.",
        fix="An address that begins with https://, or a VPC link.",
        check=_upstream_tls,
        types=tuple(_UPSTREAMS),
        url=f"{AWS_DOCS}/apigateway/latest/developerguide/setup-http-integrations.html",
    ),
    Rule(
        name="lb-listener-tls",
        title="Load balancers serve over TLS 1.2 or newer, and send plain HTTP to HTTPS.",
        severity="high",
        why="Prompts, answers and API keys cross the listener; over HTTP or TLS 1.0 others can read them.",
        fix="An HTTPS listener with `ssl_policy='ELBSecurityPolicy-TLS13-1-2-Res-2021-06'`, and on port 80 a redirect to it.",
        check_stack=_listener_tls,
        types=(*_LISTENERS, *_BALANCERS, _CLASSIC),
        settings={
            "internal": Setting(
                False, BOOLEAN, "Whether plain HTTP is a problem also on load balancers that are known as internal."
            )
        },
        frameworks=("AWS FSBP ELB.1", "AWS FSBP ELB.17"),
        url=f"{AWS_DOCS}/elasticloadbalancing/latest/application/describe-ssl-policies.html",
    ),
    Rule(
        name="cloudfront-tls",
        title="A distribution serves and fetches over modern TLS only.",
        severity="high",
        why="One behaviour with allow-all, or one origin over HTTP, lets keys and prompts travel in plain text.",
        fix="`viewer_protocol_policy` redirect-to-https, `minimum_protocol_version` TLSv1.2_2021, origins https-only.",
        check=_cloudfront_tls,
        types=("aws:cloudfront/distribution:Distribution",),
        settings={
            "minimum": Setting(
                "TLSv1.2_2021",
                {"type": "string", "enum": list(_VERSIONS)},
                "The oldest security policy of a custom certificate.",
            )
        },
        frameworks=("AWS FSBP CloudFront.3", "AWS FSBP CloudFront.10"),
        url=f"{AWS_DOCS}/AmazonCloudFront/latest/DeveloperGuide/secure-connections-supported-viewer-protocols-ciphers.html",
    ),
)
