"""The CDN: what is at which path, with which headers, for whom; the page's files; the web ACLs; the logs."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pulumi
import pytest

import pulumi_llm
from pulumi_llm.base import web_client
from pulumi_llm.cdn_frontend import distribution as cdn
from pulumi_llm.cdn_frontend.files import file_names
from support import programs
from support.programs import PAGE, Recording

API_URL = "https://a1b2c3d4e5.execute-api.eu-west-1.amazonaws.com/api"
STAGE_ARN = "arn:aws:apigateway:eu-west-1::/restapis/a1b2c3d4e5/stages/api"
WEBSOCKET_URL = "wss://f6g7h8i9j0.execute-api.eu-west-1.amazonaws.com/ws"
CERTIFICATE = "arn:aws:acm:us-east-1:123456789012:certificate/1234abcd-12ab-34cd-56ef-1234567890ab"
DOMAIN = {"name": "chat.example.com", "certificate_arn": CERTIFICATE, "zone_id": "Z0123456789ABCDEFGHIJ"}


def made(**settings: Any) -> Recording:
    """A CDN in Ireland, with these settings."""
    args: Any = {"folder": str(PAGE), "api_url": API_URL, **settings}
    return programs.run(lambda: pulumi_llm.CdnFrontend("web", args), config={"aws:region": "eu-west-1"})


def refused(match: str, **settings: Any) -> None:
    with pytest.raises(pulumi.InputPropertiesError, match=match):
        made(**settings)


@pytest.fixture(scope="module")
def full() -> Recording:
    return made(api_stage_arn=STAGE_ARN, websocket_url=WEBSOCKET_URL, domain=DOMAIN, parameter_prefix="/llm/test")


# The bucket.


@pytest.mark.assumes("page-missing")
def test_the_bucket_is_read_by_this_distribution_alone_and_only_by_tls(full: Recording) -> None:
    document = json.loads(full.inputs("web-bucket-policy")["policy"])
    *reads, tls = document["Statement"]
    bucket = f"arn:aws:s3:::{full.named('web-bucket').id}"
    # Without s3:ListBucket, S3 answers 403 for a file that is not there.
    assert [(each["Action"], each["Resource"]) for each in reads] == [
        ("s3:GetObject", f"{bucket}/*"),
        ("s3:ListBucket", bucket),
    ]
    distribution = f"arn:aws:cloudfront::123456789012:distribution/{full.named('web-distribution').id}"
    for read in reads:
        assert (read["Effect"], read["Principal"]) == ("Allow", {"Service": "cloudfront.amazonaws.com"})
        assert read["Condition"] == {"StringEquals": {"AWS:SourceArn": distribution}}
    assert (tls["Effect"], tls["Resource"]) == ("Deny", [bucket, f"{bucket}/*"])
    assert tls["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    block = full.inputs("web-bucket-access-block")
    assert [block[way] for way in ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")] == [
        True
    ] * 4
    assert full.inputs("web-bucket-ownership")["rule"] == {"objectOwnership": "BucketOwnerEnforced"}
    assert "forceDestroy" not in full.inputs("web-bucket")


def test_the_distribution_signs_what_it_asks_the_bucket(full: Recording) -> None:
    control = full.inputs("web-access-control")
    assert (control["originAccessControlOriginType"], control["signingBehavior"], control["signingProtocol"]) == (
        "s3",
        "always",
        "sigv4",
    )
    page = full.inputs("web-distribution")["origins"][0]
    assert page["originAccessControlId"] == full.named("web-access-control").id
    assert page["domainName"] == f"{full.named('web-bucket').id}.s3.eu-west-1.amazonaws.com"


# The function's own URL.

ALIAS_ARN = "arn:aws:lambda:eu-west-1:123456789012:function:chat-function-7a1b2c3:live"
OWN_URL = {"function_url": "https://a1b2c3d4e5f6.lambda-url.eu-west-1.on.aws/", "function_alias_arn": ALIAS_ARN}


@pytest.mark.assumes("function-url")
def test_the_page_streams_from_the_functions_own_url() -> None:
    for prefix in ("", "/llm"):
        for wrap in (str, pulumi.Output.from_input):

            def program(prefix: str = prefix, wrap: Any = wrap) -> None:  # an Output needs the program's own event loop
                addresses = {name: wrap(value) for name, value in {**OWN_URL, "api_url": API_URL + prefix}.items()}
                args: Any = {"folder": str(PAGE), **addresses}
                pulumi_llm.CdnFrontend("web", args)

            recording = programs.run(program, config={"aws:region": "eu-west-1"})
            found = recording.inputs("web-distribution")
            # The first that fits counts.
            paths = [(each["pathPattern"], each["targetOriginId"]) for each in found["orderedCacheBehaviors"]]
            description = (f"/api{prefix}/openapi.json", "api")
            assert paths == [(f"/api{prefix}/chat/stream", "function"), description, ("/api/*", "api")]
            config = json.loads(recording.inputs("web-config")["content"])
            assert config == {"rest_url": f"/api{prefix}", "stream_body_hash": True}
            origin = next(each for each in found["origins"] if each["originId"] == "function")
            assert origin["domainName"] == "a1b2c3d4e5f6.lambda-url.eu-west-1.on.aws"
            assert origin["connectionAttempts"] == 1, "after a time-out a model would answer twice"
            assert origin["customOriginConfig"]["originProtocolPolicy"] == "https-only"
            assert origin["originAccessControlId"] == recording.named("web-function-access-control").id
            control = recording.inputs("web-function-access-control")
            kind = [control[name] for name in ("originAccessControlOriginType", "signingBehavior", "signingProtocol")]
            assert kind == ["lambda", "always", "sigv4"]


@pytest.mark.assumes("function-url")
def test_only_this_distribution_may_call_the_url_and_nothing_but_the_url() -> None:
    recording = made(**OWN_URL)
    permissions = [recording.inputs(f"web-function{name}-permission") for name in ("-url", "")]
    for each in permissions:
        assert (each["function"], each["qualifier"]) == tuple(ALIAS_ARN.rsplit(":", 1))
        assert each["principal"] == "cloudfront.amazonaws.com"
        distribution = recording.named("web-distribution").id
        assert each["sourceArn"] == f"arn:aws:cloudfront::123456789012:distribution/{distribution}"
    url, function = permissions
    assert (url["action"], url["functionUrlAuthType"]) == ("lambda:InvokeFunctionUrl", "AWS_IAM")
    assert (function["action"], function["invokedViaFunctionUrl"]) == ("lambda:InvokeFunction", True)


# The distribution.


@pytest.mark.assumes("cdn-paths")
def test_page_and_apis_have_one_address(full: Recording) -> None:
    found = full.inputs("web-distribution")
    targets = [(each["pathPattern"], each["targetOriginId"]) for each in found["orderedCacheBehaviors"]]
    assert targets == [("/api/openapi.json", "api"), ("/api/*", "api"), ("/ws", "websocket")]
    hosts = {origin["originId"]: origin["domainName"] for origin in found["origins"]}
    assert hosts["api"] == "a1b2c3d4e5.execute-api.eu-west-1.amazonaws.com"
    assert hosts["websocket"] == "f6g7h8i9j0.execute-api.eu-west-1.amazonaws.com"
    for origin in found["origins"]:
        assert "originPath" not in origin, "a stage's name is in the path already"
    assert found["defaultCacheBehavior"]["targetOriginId"] == "page"


@pytest.mark.assumes("cdn-errors")
def test_an_error_is_not_kept_and_arrives_as_it_is(full: Recording) -> None:
    """CloudFront keeps an error for ten seconds, for whoever asks next: the key has neither Authorization nor the query string.

    https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/HTTPStatusCodes.html
    """
    responses = full.inputs("web-distribution")["customErrorResponses"]
    # A page would replace the APIs' errors, too.
    assert responses == [{"errorCode": code, "errorCachingMinTtl": 0} for code in (404, 405, 414, 500, 501, 502, 503, 504)]


@pytest.mark.assumes("cdn-stream")
@pytest.mark.parametrize("index", [1, 2])
def test_what_is_of_an_api_goes_through_as_it_is(full: Recording, index: int) -> None:
    found = full.inputs("web-distribution")
    behavior = found["orderedCacheBehaviors"][index]
    assert behavior["cachePolicyId"] == "4135ea2d-6df8-44a3-9df3-4b5a84be39ad"  # Managed-CachingDisabled
    assert behavior["originRequestPolicyId"] == "b689b0a8-53d0-40ab-baf2-68738e2966ac"  # Managed-AllViewerExceptHostHeader
    assert (behavior["compress"], behavior["viewerProtocolPolicy"]) == (False, "https-only")
    assert {"POST", "DELETE", "OPTIONS"} <= set(behavior["allowedMethods"])
    assert "functionAssociations" not in behavior
    origin = next(each for each in found["origins"] if each["originId"] == behavior["targetOriginId"])
    assert origin["connectionAttempts"] == 1, "after a time-out a model would answer twice"
    config = origin["customOriginConfig"]
    assert (config["originProtocolPolicy"], config["originSslProtocols"]) == ("https-only", ["TLSv1.2"])
    assert config["originReadTimeout"] == 120


@pytest.mark.assumes("cdn-description")
def test_nobody_can_make_the_description_be_asked_for_again(full: Recording) -> None:
    behavior = full.inputs("web-distribution")["orderedCacheBehaviors"][0]
    policy = full.named("web-description-cache")
    assert (behavior["pathPattern"], behavior["cachePolicyId"]) == ("/api/openapi.json", policy.id)
    assert behavior["allowedMethods"] == behavior["cachedMethods"] == ["GET", "HEAD"]
    # What goes to the API besides the key would be in what everyone gets.
    assert "originRequestPolicyId" not in behavior
    (key,) = [value for name, value in policy.inputs.items() if name.startswith("parametersInCacheKey")]
    assert {kind for part in key.values() for kind in part.values()} == {"none"}
    # An answer 429 says no-store, and is not kept.
    assert (policy.inputs["minTtl"], policy.inputs["defaultTtl"], policy.inputs["maxTtl"]) == (0, 0, 300)


def test_the_managed_policies_are_those_that_aws_lists() -> None:
    """The stand-in has them from AWS's pages."""
    from pulumi_llm_local.aws_types import cloudfront

    ours = {
        value for name, value in vars(cdn).items() if name.startswith("_") and isinstance(value, str) and value.count("-") == 4
    }
    assert len(ours) == 4
    assert ours <= set(cloudfront._MANAGED_POLICIES.values())  # pyright: ignore[reportPrivateUsage]


def test_the_page_has_its_headers(full: Recording) -> None:
    behavior = full.inputs("web-distribution")["defaultCacheBehavior"]
    assert behavior["responseHeadersPolicyId"] == full.named("web-page-headers").id
    headers = full.inputs("web-page-headers")["securityHeadersConfig"]
    policy = headers["contentSecurityPolicy"]["contentSecurityPolicy"]
    assert policy == web_client.CONTENT_SECURITY_POLICY
    assert "unsafe" not in policy
    assert headers["frameOptions"]["frameOption"] == "DENY"
    assert headers["contentTypeOptions"] == {"override": True}
    assert headers["referrerPolicy"]["referrerPolicy"] == web_client.REFERRER_POLICY
    assert headers["strictTransportSecurity"]["accessControlMaxAgeSec"] == 31_536_000


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        ("/", "/index.html"),
        ("/history", "/index.html"),
        ("/runs/2026.11/", "/index.html"),
        ("/index.html", "/index.html"),
        ("/assets/index-nPIDOlCy.js", "/assets/index-nPIDOlCy.js"),
        ("/missing.png", "/missing.png"),
        # What S3 would take for the bucket itself
        ("", "/index.html"),
        ("//", "/index.html"),
    ],
)
def test_the_page_answers_its_own_paths(full: Recording, asked: str, answered: str) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("Node.js is not on PATH (https://nodejs.org)")
    behavior = full.inputs("web-distribution")["defaultCacheBehavior"]
    (association,) = behavior["functionAssociations"]
    assert association["eventType"] == "viewer-request"
    event = json.dumps({"request": {"uri": asked, "headers": {}}})
    script = f"{full.inputs('web-page-function')['code']}\nconsole.log(handler({event}).uri)"
    done = subprocess.run([node, "-e", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == answered


@pytest.mark.parametrize(
    ("settings", "restriction", "locations"),
    [
        ({}, "none", []),
        ({"allow_countries": ["DE", "AT"]}, "whitelist", ["DE", "AT"]),
        ({"deny_countries": ["KP"]}, "blacklist", ["KP"]),
    ],
)
def test_countries_are_allowed_or_denied(settings: dict[str, Any], restriction: str, locations: list[str]) -> None:
    found = made(**settings).inputs("web-distribution")["restrictions"]["geoRestriction"]
    assert (found["restrictionType"], found["locations"]) == (restriction, locations)


def test_a_domain_has_its_certificate_and_records(full: Recording) -> None:
    found = full.inputs("web-distribution")
    assert found["aliases"] == ["chat.example.com"]
    assert found["viewerCertificate"] == {
        "acmCertificateArn": CERTIFICATE,
        "sslSupportMethod": "sni-only",
        "minimumProtocolVersion": "TLSv1.2_2021",
    }
    for kind in ("a", "aaaa"):
        record = full.inputs(f"web-domain-record-{kind}")
        assert (record["type"], record["name"]) == (kind.upper(), "chat.example.com")
        assert record["aliases"][0]["zoneId"] == "Z2FDTNDATAQYW2"
    assert full.named("web").outputs["url"] == "https://chat.example.com"


def test_without_a_domain_it_has_cloudfronts_own() -> None:
    recording = made()
    assert recording.inputs("web-distribution")["viewerCertificate"] == {"cloudfrontDefaultCertificate": True}
    outputs = recording.named("web").outputs
    assert outputs["url"] == f"https://{outputs['distribution_domain_name']}"
    without_zone = made(domain={**DOMAIN, "zone_id": None})
    assert not [name for name in without_zone.names() if "record" in name]


# The page's files.


@pytest.mark.assumes("page-cache")
def test_a_file_has_its_type_and_is_kept_for_good_only_under_a_hashed_name(full: Recording) -> None:
    found = {each["key"]: each for name in full.names() if "web-file" in name for each in [full.inputs(name)]}
    forever = "public, max-age=31536000, immutable"
    assert {key: (each["contentType"], each["cacheControl"]) for key, each in found.items()} == {
        "index.html": ("text/html; charset=utf-8", "no-cache"),
        "favicon.svg": ("image/svg+xml", "no-cache"),
        "assets/index-nPIDOlCy.js": ("text/javascript; charset=utf-8", forever),
        "assets/index-BMMdMaex.css": ("text/css; charset=utf-8", forever),
    }


def test_index_html_comes_after_what_it_names(full: Recording) -> None:
    after = set(full.named("web-file-index.html").dependencies)
    others = [name for name in full.names() if "web-file" in name and "index.html" not in name]
    assert {full.named(name).urn for name in (*others, "web-config")} <= after


@pytest.mark.parametrize(
    ("url", "websocket", "config"),
    [
        (API_URL, None, {"rest_url": "/api"}),
        (API_URL, WEBSOCKET_URL, {"rest_url": "/api", "websocket_url": "/ws"}),
        (f"{API_URL}/llm", None, {"rest_url": "/api/llm"}),
    ],
)
def test_the_page_is_configured_by_outputs(url: str, websocket: str | None, config: dict[str, str]) -> None:
    def program() -> None:
        known = pulumi.Output.from_input
        addresses: Any = {"api_url": known(url), "websocket_url": known(websocket) if websocket else None}
        pulumi_llm.CdnFrontend("web", {"folder": str(PAGE), **addresses})

    file = programs.run(program).inputs("web-config")
    assert json.loads(file["content"]) == config
    assert (file["key"], file["contentType"], file["cacheControl"]) == ("config.json", "application/json", "no-cache")


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["index.html", "assets/index-nPIDOlCy.js"], ["index.html", "assets/index.js"]),
        (["assets/a-AAAAAAAA.js", "assets/a-BBBBBBBB.js"], ["assets/a-AAAAAAAA.js", "assets/a-BBBBBBBB.js"]),
        (["my-document.txt", "assets/logo.png"], ["my-document.txt", "assets/logo.png"]),
    ],
)
def test_a_changed_file_keeps_its_resources_name(paths: list[str], names: list[str]) -> None:
    assert list(file_names(paths).values()) == names


# The web ACLs.


@pytest.mark.assumes("waf-regions")
def test_each_web_acl_is_where_aws_looks_for_it(full: Recording) -> None:
    edge, api = full.inputs("web-web-acl"), full.inputs("web-api-web-acl")
    assert (edge["scope"], edge["region"]) == ("CLOUDFRONT", "us-east-1")
    assert (api["scope"], api.get("region")) == ("REGIONAL", None)
    assert ":global/webacl/" in full.inputs("web-distribution")["webAclId"]
    association = full.inputs("web-api-web-acl-association")
    assert association["resourceArn"] == STAGE_ARN
    assert ":eu-west-1:123456789012:regional/webacl/" in association["webAclArn"]


def answer(acl: dict[str, Any], rule: dict[str, Any]) -> tuple[int, str]:
    """The status and the error's code that a rule answers."""
    response = rule["action"]["block"]["customResponse"]
    (body,) = [each for each in acl["customResponseBodies"] if each["key"] == response["customResponseBodyKey"]]
    assert body["contentType"] == "APPLICATION_JSON"
    return response["responseCode"], json.loads(body["content"])["error"]["code"]


def test_an_address_is_limited_and_told_so_as_an_api_would(full: Recording) -> None:
    for name in ("web-web-acl", "web-api-web-acl"):
        acl = full.inputs(name)
        assert [rule["priority"] for rule in acl["rules"]] == list(range(len(acl["rules"])))
        rate = acl["rules"][0]
        limit = rate["statement"]["rateBasedStatement"]
        assert (limit["limit"], limit["aggregateKeyType"], limit["evaluationWindowSec"]) == (2000, "IP", 300)
        assert answer(acl, rate) == (429, "rate_limit_exceeded")
        headers = rate["action"]["block"]["customResponse"]["responseHeaders"]
        assert {"name": "retry-after", "value": "300"} in headers
        assert {"name": "x-should-retry", "value": "false"} in headers


def test_the_cdns_requests_are_not_counted_as_those_of_few_addresses(full: Recording) -> None:
    limit = full.inputs("web-api-web-acl")["rules"][0]["statement"]["rateBasedStatement"]
    match = limit["scopeDownStatement"]["notStatement"]["statement"]["byteMatchStatement"]
    for origin in full.inputs("web-distribution")["origins"][1:]:
        (header,) = origin["customHeaders"]
        assert match["fieldToMatch"] == {"singleHeader": {"name": header["name"]}}
        assert match["searchString"] == header["value"]
    assert "scopeDownStatement" not in full.inputs("web-web-acl")["rules"][0]["statement"]["rateBasedStatement"]


# What AWS lists: each rule with its label.
# https://docs.aws.amazon.com/waf/latest/developerguide/aws-managed-rule-groups-baseline.html
# https://docs.aws.amazon.com/waf/latest/developerguide/aws-managed-rule-groups-ip-rep.html
MANAGED_RULES = {
    "AWSManagedRulesAmazonIpReputationList": {
        "AWSManagedIPReputationList": "amazon-ip-list:AWSManagedIPReputationList",
        "AWSManagedReconnaissanceList": "amazon-ip-list:AWSManagedReconnaissanceList",
        "AWSManagedIPDDoSList": "amazon-ip-list:AWSManagedIPDDoSList",
    },
    "AWSManagedRulesKnownBadInputsRuleSet": {
        "JavaDeserializationRCE_HEADER": "known-bad-inputs:JavaDeserializationRCE_Header",
        "JavaDeserializationRCE_BODY": "known-bad-inputs:JavaDeserializationRCE_Body",
        "JavaDeserializationRCE_URIPATH": "known-bad-inputs:JavaDeserializationRCE_URIPath",
        "JavaDeserializationRCE_QUERYSTRING": "known-bad-inputs:JavaDeserializationRCE_QueryString",
        "Host_localhost_HEADER": "known-bad-inputs:Host_Localhost_Header",
        "PROPFIND_METHOD": "known-bad-inputs:Propfind_Method",
        "ExploitablePaths_URIPATH": "known-bad-inputs:ExploitablePaths_URIPath",
        "Log4JRCE_HEADER": "known-bad-inputs:Log4JRCE_Header",
        "Log4JRCE_QUERYSTRING": "known-bad-inputs:Log4JRCE_QueryString",
        "Log4JRCE_BODY": "known-bad-inputs:Log4JRCE_Body",
        "Log4JRCE_URIPATH": "known-bad-inputs:Log4JRCE_URIPath",
        "ReactJSRCE_BODY": "known-bad-inputs:ReactJSRCE_Body",
    },
    "AWSManagedRulesCommonRuleSet": {
        "NoUserAgent_HEADER": "core-rule-set:NoUserAgent_Header",
        "UserAgent_BadBots_HEADER": "core-rule-set:BadBots_Header",
        "SizeRestrictions_QUERYSTRING": "core-rule-set:SizeRestrictions_QueryString",
        "SizeRestrictions_Cookie_HEADER": "core-rule-set:SizeRestrictions_Cookie_Header",
        "SizeRestrictions_BODY": "core-rule-set:SizeRestrictions_Body",
        "SizeRestrictions_URIPATH": "core-rule-set:SizeRestrictions_URIPath",
        "EC2MetaDataSSRF_BODY": "core-rule-set:EC2MetaDataSSRF_Body",
        "EC2MetaDataSSRF_COOKIE": "core-rule-set:EC2MetaDataSSRF_Cookie",
        "EC2MetaDataSSRF_URIPATH": "core-rule-set:EC2MetaDataSSRF_URIPath",
        "EC2MetaDataSSRF_QUERYARGUMENTS": "core-rule-set:EC2MetaDataSSRF_QueryArguments",
        "GenericLFI_QUERYARGUMENTS": "core-rule-set:GenericLFI_QueryArguments",
        "GenericLFI_URIPATH": "core-rule-set:GenericLFI_URIPath",
        "GenericLFI_BODY": "core-rule-set:GenericLFI_Body",
        "RestrictedExtensions_URIPATH": "core-rule-set:RestrictedExtensions_URIPath",
        "RestrictedExtensions_QUERYARGUMENTS": "core-rule-set:RestrictedExtensions_QueryArguments",
        "GenericRFI_QUERYARGUMENTS": "core-rule-set:GenericRFI_QueryArguments",
        "GenericRFI_BODY": "core-rule-set:GenericRFI_Body",
        "GenericRFI_URIPATH": "core-rule-set:GenericRFI_URIPath",
        "CrossSiteScripting_COOKIE": "core-rule-set:CrossSiteScripting_Cookie",
        "CrossSiteScripting_QUERYARGUMENTS": "core-rule-set:CrossSiteScripting_QueryArguments",
        "CrossSiteScripting_BODY": "core-rule-set:CrossSiteScripting_Body",
        "CrossSiteScripting_URIPATH": "core-rule-set:CrossSiteScripting_URIPath",
    },
}


@pytest.mark.assumes("waf-labels")
@pytest.mark.parametrize("acl", ["web-web-acl", "web-api-web-acl"])
def test_a_prompt_may_hold_anything(full: Recording, acl: str) -> None:
    """AWS's rules only label, those that it adds tomorrow too; ours blocks the labels of all that are not about bodies."""
    _, *groups, managed = full.inputs(acl)["rules"]
    assert [group["overrideAction"] for group in groups] == [{"count": {}}] * 3
    statements = managed["statement"]["orStatement"]["statements"]
    assert {each["labelMatchStatement"]["scope"] for each in statements} == {"LABEL"}
    blocked = [each["labelMatchStatement"]["key"] for each in statements]
    # A rule that blocks ends its group, which would leave what the group's other rules see without a label.
    counted = {
        each["name"]
        for group in groups
        for each in group["statement"]["managedRuleGroupStatement"]["ruleActionOverrides"]
        if each["actionToUse"] == {"count": {}}
    }
    rules = {rule: label for group in groups for rule, label in MANAGED_RULES[group["name"]].items()}
    # AWS counts AWSManagedIPDDoSList itself. A program need not send a User-Agent.
    passed = {rule for rule in rules if rule.endswith("_BODY") or rule in ("NoUserAgent_HEADER", "AWSManagedIPDDoSList")}
    assert sorted(blocked) == sorted(f"awswaf:managed:aws:{label}" for rule, label in rules.items() if rule not in passed)
    assert counted == passed - {"AWSManagedIPDDoSList"}
    assert answer(full.inputs(acl), managed) == (403, "access_denied")


@pytest.mark.parametrize(
    ("waf", "names"),
    [
        ({}, [*MANAGED_RULES, "managed"]),
        ({"managed_rules": "count"}, [*MANAGED_RULES]),
        ({"managed_rules": "off"}, []),
    ],
)
def test_managed_rules_block_or_count_or_are_off(waf: dict[str, Any], names: list[str]) -> None:
    rules = made(waf=waf).inputs("web-web-acl")["rules"]
    assert [rule["name"] for rule in rules] == ["rate", *names]
    for rule in rules:
        assert rule["visibilityConfig"]["sampledRequestsEnabled"] is False, "a sample shows keys"


@pytest.mark.assumes("waf-countries")
@pytest.mark.parametrize(
    ("settings", "denied"),
    [
        ({}, None),
        (
            {"allow_countries": ["DE", "AT"]},
            {"notStatement": {"statement": {"geoMatchStatement": {"countryCodes": ["DE", "AT"]}}}},
        ),
        ({"deny_countries": ["KP"]}, {"geoMatchStatement": {"countryCodes": ["KP"]}}),
    ],
)
def test_the_apis_own_address_has_the_same_countries(settings: dict[str, Any], denied: dict[str, Any] | None) -> None:
    recording = made(api_stage_arn=STAGE_ARN, **settings)
    acl = recording.inputs("web-api-web-acl")
    rate, *rules = acl["rules"]
    found = [rule for rule in rules if rule["name"] == "countries"]
    if denied is None:
        assert found == []
        return
    # What comes through the CDN has CloudFront's addresses, and the distribution has seen to its country.
    other = rate["statement"]["rateBasedStatement"]["scopeDownStatement"]
    assert [rule["statement"] for rule in found] == [{"andStatement": {"statements": [other, denied]}}]
    assert answer(acl, found[0]) == (403, "access_denied")
    assert "countries" not in [rule["name"] for rule in recording.inputs("web-web-acl")["rules"]]


def test_without_a_stage_there_is_one_web_acl_and_without_waf_none() -> None:
    assert [name for name in made().names() if "acl" in name] == ["web-web-acl"]
    off = made(waf={"enabled": False}, api_stage_arn=STAGE_ARN)
    assert [name for name in off.names() if "acl" in name] == []
    assert "webAclId" not in off.inputs("web-distribution")
    assert off.named("web").outputs["web_acl_arn"] == ""


# The logs.


@pytest.mark.assumes("cdn-logs")
def test_requests_are_logged_where_cloudfront_logs(full: Recording) -> None:
    parts = ("web-logs", "web-logs-policy", "web-log-source", "web-log-destination", "web-log-delivery")
    assert {full.inputs(name)["region"] for name in parts} == {"us-east-1"}
    source = full.inputs("web-log-source")
    assert source["logType"] == "ACCESS_LOGS"
    assert source["resourceArn"].endswith(f"distribution/{full.named('web-distribution').id}")
    group = f"arn:aws:logs:us-east-1:123456789012:log-group:{full.named('web-logs').id}"
    assert full.inputs("web-log-destination")["deliveryDestinationConfiguration"] == {"destinationResourceArn": group}
    (statement,) = json.loads(full.inputs("web-logs-policy")["policyDocument"])["Statement"]
    assert statement["Resource"] == f"{group}:log-stream:*"
    assert statement["Condition"]["StringEquals"] == {"aws:SourceAccount": "123456789012"}
    assert full.named("web-logs-policy").urn in full.named("web-log-delivery").dependencies
    assert not [name for name in made(access_logs=False).names() if "log" in name]


# What is refused.


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"api_url": None}, "api_url: is required"),
        ({"api_url": "https://chat.example.com"}, "api_url: .* has the path '/'.*the API's is below /api"),
        ({"api_url": "http://a.example.com/api"}, "api_url: .*is not of the form of an API's URL"),
        ({"api_url": "https://a.example.com/apis"}, "has the path '/apis'"),
        ({"websocket_url": WEBSOCKET_URL + "/x"}, "websocket_url: .*whose stage is named 'ws'"),
        ({"websocket_url": "https://a.example.com/ws"}, "websocket_url: "),
        (
            {"api_stage_arn": STAGE_ARN.replace("eu-west-1", "us-east-1")},
            "api_stage_arn: is in us-east-1; give one in eu-west-1",
        ),
        ({"domain": {**DOMAIN, "certificate_arn": CERTIFICATE.replace("us-east-1", "eu-west-1")}}, "in us-east-1, where"),
        ({**OWN_URL, "function_url": "https://chat.example.com"}, "function_url: .*is not of the form of a function's URL"),
        ({**OWN_URL, "function_alias_arn": None}, "function_alias_arn: is required with function_url"),
        ({**OWN_URL, "function_url": None}, "function_alias_arn: is only for function_url"),
        ({**OWN_URL, "function_alias_arn": ALIAS_ARN.removesuffix(":live")}, "the ARN of a function's alias"),
        (
            {**OWN_URL, "function_alias_arn": ALIAS_ARN.replace("eu-west-1", "us-east-1")},
            "function_alias_arn: is in us-east-1; give one in eu-west-1",
        ),
        ({"price_class": "PriceClass_1"}, "price_class: "),
        ({"allow_countries": ["DE"], "deny_countries": ["KP"]}, "deny_countries: CloudFront takes one of the two lists"),
        ({"allow_countries": ["Germany"]}, r"allow_countries\[0\]: .*a country's code"),
        ({"waf": {"rate_limit": 5}}, r"waf\.rate_limit: must be between 10 and"),
        ({"waf": {"managed_rules": "on"}}, r"waf\.managed_rules: "),
        ({"folder": "/nowhere"}, "folder: there is no built page in /nowhere: it has no index.html"),
        ({"customize": {"file:nope": {}}}, "customize.file:nope: 'nope' is not among those of 'file'"),
    ],
)
def test_what_is_wrong_is_refused(settings: dict[str, Any], match: str) -> None:
    refused(match, **settings)


def test_a_page_publishes_neither_hidden_files_nor_what_is_elsewhere(tmp_path: Path) -> None:
    page, elsewhere = tmp_path / "page", tmp_path / "secret"
    elsewhere.mkdir()
    (elsewhere / "key.pem").write_text("secret")
    for path in ("index.html", ".env", ".git/config", ".well-known/security.txt", "assets/.map", "copy/a.txt"):
        (page / path).parent.mkdir(parents=True, exist_ok=True)
        (page / path).write_text("x")
    (page / "also.html").symlink_to(page / "index.html")
    assert sorted(web_client.files(str(page))) == [".well-known/security.txt", "also.html", "copy/a.txt", "index.html"]
    for target in (elsewhere / "key.pem", elsewhere):
        (page / "link").symlink_to(target)
        refused("folder: these links lead out of .*: link; copy what is to be published into it", folder=str(page))
        (page / "link").unlink()


def test_a_client_that_is_not_built_is_named_with_what_builds_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(web_client, "_IN_WHEEL", tmp_path / "nothing")
    monkeypatch.setattr(web_client, "_IN_CHECKOUT", tmp_path)
    refused("folder: the web client is not built: run 'make frontend'", folder=None)


def test_it_is_made_in_the_partition_that_has_it() -> None:
    args: Any = {"folder": str(PAGE), "api_url": API_URL}
    with pytest.raises(pulumi.InputPropertiesError, match="cn-north-1 is in the partition aws-cn"):
        programs.run(lambda: pulumi_llm.CdnFrontend("web", args), config={"aws:region": "cn-north-1"})
