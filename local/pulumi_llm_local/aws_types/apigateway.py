"""API Gateway's REST APIs, whose model in botocore has hardly any bounds."""

from collections.abc import Mapping
from string import ascii_letters, digits
from typing import Any, Final, cast

from pulumi_llm_local.aws_types.aws_type import AWS_DOCS, PROVIDER_DOCS, AwsType, Outputs, Relation, ValueRule
from pulumi_llm_local.aws_types.cloudfront import ZONE as CLOUDFRONT_ZONE
from pulumi_llm_local.aws_types.draft import CREATED, Draft, drawn
from pulumi_llm_local.aws_types.values import SECRET, SIGNATURE

_ARN: Final = "arn:{partition}:apigateway:{region}::"
_API: Final = AWS_DOCS + "apigateway/latest/api/API_"
_QUOTAS: Final = AWS_DOCS + "apigateway/latest/developerguide/api-gateway-execution-service-limits-table.html"
_SECURITY_POLICIES: Final = AWS_DOCS + "apigateway/latest/developerguide/apigateway-security-policies.html"

AUTHORIZER: Final = "aws:apigateway/authorizer:Authorizer"
DEPLOYMENT: Final = "aws:apigateway/deployment:Deployment"
GATEWAY_RESPONSE: Final = "aws:apigateway/response:Response"
INTEGRATION: Final = "aws:apigateway/integration:Integration"
INTEGRATION_RESPONSE: Final = "aws:apigateway/integrationResponse:IntegrationResponse"
METHOD: Final = "aws:apigateway/method:Method"
METHOD_RESPONSE: Final = "aws:apigateway/methodResponse:MethodResponse"
MODEL: Final = "aws:apigateway/model:Model"
REQUEST_VALIDATOR: Final = "aws:apigateway/requestValidator:RequestValidator"
RESOURCE: Final = "aws:apigateway/resource:Resource"
REST_API_POLICY: Final = "aws:apigateway/restApiPolicy:RestApiPolicy"
REST_API: Final = "aws:apigateway/restApi:RestApi"
STAGE: Final = "aws:apigateway/stage:Stage"
USAGE_PLAN: Final = "aws:apigateway/usagePlan:UsagePlan"
_METHOD_SETTINGS: Final = "aws:apigateway/methodSettings:MethodSettings"
_OF_METHOD: Final = {"restApi": "restApi", "resourceId": "resourceId", "httpMethod": "httpMethod"}
_METHODS: Final = ValueRule(_API + "PutMethod.html", values=("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "ANY"))


def _api_key(draft: Draft) -> Outputs:
    """A key's value, 40 letters and digits, is a secret; it follows from the id, so that its usage plan finds it."""
    identifier = draft.lower(10)
    value = {SIGNATURE: SECRET, "value": drawn(identifier, 40, ascii_letters + digits)}
    arn = "arn:{partition}:apigateway:{region}::/apikeys/{id}"
    dates = {"createdDate": CREATED, "lastUpdatedDate": CREATED}
    return {"id": identifier, "arn": arn, "value": value, "enabled": True, **dates}


def _usage_plan_key(draft: Draft) -> Outputs:
    """The value is the one that `api_key` made up; a value given to the key itself isn't known here. The provider does not mark
    it as a secret: https://github.com/hashicorp/terraform-provider-aws/issues/26739"""
    return {"id": "{keyId}", "name": "{keyId}", "value": drawn(draft.text("keyId"), 40, ascii_letters + digits)}


def _letters_and_digits(name: str, inputs: Mapping[str, Any]) -> str:
    """A model's name takes nothing else."""
    return "".join(character for character in name if character.isalnum())


def _integration(inputs: Mapping[str, Any]) -> Mapping[str, ValueRule]:
    """A response that is streamed has 15 minutes; another 29 s, unless the account's quota was raised."""
    streamed = inputs.get("responseTransferMode", "BUFFERED") != "BUFFERED"
    return {"timeoutMilliseconds": ValueRule(_QUOTAS, low=50, high=900000 if streamed else 29000)}


_LEGACY_POLICIES: Final = ("TLS_1_0", "TLS_1_2")
# https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-security-policies-list.html
_REGIONAL_POLICIES: Final = (
    "SecurityPolicy_TLS13_1_3_2025_09",
    "SecurityPolicy_TLS13_1_3_FIPS_2025_09",
    "SecurityPolicy_TLS13_1_2_PFS_PQ_2025_09",
    "SecurityPolicy_TLS13_1_2_FIPS_PFS_PQ_2025_09",
    "SecurityPolicy_TLS13_1_2_FIPS_PQ_2025_09",
    "SecurityPolicy_TLS13_1_2_PQ_2025_09",
    "SecurityPolicy_TLS13_1_2_2021_06",
)
_EDGE_POLICIES: Final = (
    "SecurityPolicy_TLS13_2025_EDGE",
    "SecurityPolicy_TLS12_PFS_2025_EDGE",
    "SecurityPolicy_TLS12_2018_EDGE",
)


def _security_policy(inputs: Mapping[str, Any]) -> Mapping[str, ValueRule]:
    """An enhanced policy needs an endpoint access mode, which belongs to no legacy one. Some policies are for the edge only."""
    configuration = cast("object", inputs.get("endpointConfiguration"))
    types = cast("Mapping[str, Any]", configuration).get("types") if isinstance(configuration, Mapping) else None
    enhanced = _REGIONAL_POLICIES if types in ("REGIONAL", "PRIVATE") else (*_REGIONAL_POLICIES, *_EDGE_POLICIES)
    values = enhanced if inputs.get("endpointAccessMode") else _LEGACY_POLICIES
    return {"securityPolicy": ValueRule(_SECURITY_POLICIES, values=values)}


def _endpoint(inputs: Mapping[str, Any]) -> Mapping[str, ValueRule]:
    """VPC endpoints belong to a private API."""
    configuration: Mapping[str, Any] = inputs.get("endpointConfiguration") or {}
    if configuration.get("types") == "PRIVATE" or not configuration.get("vpcEndpointIds"):
        return {}
    return {"endpointConfiguration.types": ValueRule(_API + "EndpointConfiguration.html", values=("PRIVATE",))}


def _rest_api(inputs: Mapping[str, Any]) -> Mapping[str, ValueRule]:
    return {**_security_policy(inputs), **_endpoint(inputs)}


def _usage_plan(inputs: Mapping[str, Any]) -> Mapping[str, ValueRule]:
    """A quota begins on a day of its period."""
    quota = cast("object", inputs.get("quotaSettings"))
    period = cast("Mapping[str, Any]", quota).get("period") if isinstance(quota, Mapping) else None
    last = {"DAY": 0, "WEEK": 6}.get(str(period), 27)
    return {"quotaSettings.offset": ValueRule(_API + "QuotaSettings.html", low=0, high=last)}


TYPES: Final[Mapping[str, AwsType]] = {
    "aws:apigateway/account:Account": AwsType(
        outputs={
            "id": "api-gateway-account",
            "apiKeyVersion": "4",
            "features": ["UsagePlans"],
            "throttleSettings": [{"burstLimit": 5000, "rateLimit": 10000}],
        },
        replaced_by="",
        overwrites=True,
    ),
    "aws:apigateway/apiKey:ApiKey": AwsType(
        outputs=_api_key,
        replaced_by="value",
        stateful="callers were given it by hand",
        rules={"value": ValueRule(_QUOTAS, low=20, high=128)},
        # https://docs.aws.amazon.com/apigateway/latest/developerguide/api-key-file-format.html
        unique=("value",),
    ),
    AUTHORIZER: AwsType(
        outputs={"id": "{lower6}", "arn": _ARN + "/restapis/{restApi}/authorizers/{id}"},
        replaced_by="restApi",
        rules={"authorizerResultTtlInSeconds": ValueRule(_API + "CreateAuthorizer.html", low=0, high=3600)},
        unique=("restApi", "name"),
        # https://github.com/hashicorp/terraform-provider-aws/issues/14812
        blocked_by=(
            Relation(METHOD, {"authorizerId": "id"}, "ConflictException: Cannot delete authorizer, is referenced in method"),
        ),
    ),
    "aws:apigateway/basePathMapping:BasePathMapping": AwsType(
        outputs={"id": "{domainName}/{basePath}"},
        replaced_by="domainName",
        rules={"basePath": ValueRule(_API + "CreateBasePathMapping.html", pattern="[A-Za-z0-9$_.+!*'()-]+")},
    ),
    DEPLOYMENT: AwsType(
        outputs={"id": "{lower6}", "createdDate": CREATED},
        # A new deployment is how a changed API gets out; `triggers` is there to force it.
        replaced_by="restApi triggers variables",
        # https://docs.aws.amazon.com/apigateway/latest/api/API_DeleteDeployment.html; the text:
        # https://github.com/hashicorp/terraform-provider-aws/issues/19805
        blocked_by=(
            Relation(
                STAGE,
                {"deployment": "id"},
                "BadRequestException: Active stages pointing to this deployment must be moved or deleted",
            ),
        ),
    ),
    "aws:apigateway/domainName:DomainName": AwsType(
        outputs={
            "id": "{domainName}",
            "arn": _ARN + "/domainnames/{domainName}",
            "certificateUploadDate": CREATED,
            "cloudfrontDomainName": "d{lower13}.cloudfront.net",
            "cloudfrontZoneId": CLOUDFRONT_ZONE,
            "regionalDomainName": "d-{lower10}.execute-api.{region}.{dns_suffix}",
            "regionalZoneId": "Z{zone.upper13}",
        },
        replaced_by="certificateBody certificateChain certificatePrivateKey domainName",
        stateful="callers have its address",
        rules_by_inputs=_security_policy,
    ),
    INTEGRATION: AwsType(
        outputs={
            "id": "agi-{restApi}-{resourceId}-{httpMethod}",
            "cacheNamespace": "{resourceId}",
            "passthroughBehavior": "WHEN_NO_MATCH",
        },
        replaced_by="credentials httpMethod integrationHttpMethod passthroughBehavior resourceId restApi type",
        rules={
            "httpMethod": _METHODS,
            "integrationHttpMethod": _METHODS,
            "passthroughBehavior": ValueRule(
                _API + "PutIntegration.html", values=("WHEN_NO_MATCH", "WHEN_NO_TEMPLATES", "NEVER")
            ),
            "timeoutMilliseconds": ValueRule(_QUOTAS, member="timeoutInMillis"),  # its bounds: `_integration`
        },
        rules_by_inputs=_integration,
        overwrites=True,
        delete_before_replace=True,
        needs=(Relation(METHOD, _OF_METHOD, "NotFoundException: Invalid Method identifier specified"),),
        contains=(Relation(INTEGRATION_RESPONSE, _OF_METHOD),),
    ),
    INTEGRATION_RESPONSE: AwsType(
        outputs={"id": "agir-{restApi}-{resourceId}-{httpMethod}-{statusCode}"},
        replaced_by="httpMethod resourceId restApi",
        rules={"httpMethod": _METHODS},
        overwrites=True,
        needs=(
            Relation(INTEGRATION, _OF_METHOD, "NotFoundException: Invalid Integration identifier specified"),
            Relation(
                METHOD_RESPONSE,
                {**_OF_METHOD, "statusCode": "statusCode"},
                "NotFoundException: Invalid Response status code specified",
            ),
        ),
    ),
    METHOD: AwsType(
        outputs={"id": "agm-{restApi}-{resourceId}-{httpMethod}"},
        replaced_by="httpMethod resourceId restApi",
        rules={
            "httpMethod": _METHODS,
            "authorization": ValueRule(_API + "PutMethod.html", values=("NONE", "AWS_IAM", "CUSTOM", "COGNITO_USER_POOLS")),
        },
        contains=(
            Relation(INTEGRATION, _OF_METHOD),
            Relation(INTEGRATION_RESPONSE, _OF_METHOD),
            Relation(METHOD_RESPONSE, _OF_METHOD),
        ),
    ),
    METHOD_RESPONSE: AwsType(
        outputs={"id": "agmr-{restApi}-{resourceId}-{httpMethod}-{statusCode}"},
        replaced_by="httpMethod resourceId restApi",
        rules={"httpMethod": _METHODS},
    ),
    _METHOD_SETTINGS: AwsType(
        outputs={"id": "{restApi}-{stageName}-{methodPath}"},
        replaced_by="methodPath restApi stageName",
        rules={
            "settings.loggingLevel": ValueRule(_API + "MethodSetting.html", values=("OFF", "ERROR", "INFO")),
            "settings.cacheTtlInSeconds": ValueRule(_QUOTAS, low=0, high=3600),
            # -1, the provider's default, is no limit of the method's own
            "settings.throttlingBurstLimit": ValueRule(PROVIDER_DOCS + "apigateway/methodsettings/", low=-1),
            "settings.throttlingRateLimit": ValueRule(PROVIDER_DOCS + "apigateway/methodsettings/", low=-1),
            "settings.unauthorizedCacheControlHeaderStrategy": ValueRule(
                _API + "MethodSetting.html",
                values=("FAIL_WITH_403", "SUCCEED_WITH_RESPONSE_HEADER", "SUCCEED_WITHOUT_RESPONSE_HEADER"),
            ),
        },
        overwrites=True,
    ),
    MODEL: AwsType(
        outputs={"id": "{lower6}"},
        replaced_by="contentType name restApi",
        adapt_name=_letters_and_digits,
        rules={"name": ValueRule(_API + "CreateModel.html", pattern="[a-zA-Z0-9]+")},
        unique=("restApi", "name"),
        # https://github.com/amazon-archives/aws-apigateway-importer/issues/144
        blocked_by=(
            Relation(
                METHOD,
                {"restApi": "restApi", "requestModels": "name"},
                "ConflictException: Cannot delete model, is referenced in method request",
            ),
            Relation(
                METHOD_RESPONSE,
                {"restApi": "restApi", "responseModels": "name"},
                "ConflictException: Cannot delete model, is referenced in method response",
            ),
        ),
    ),
    REQUEST_VALIDATOR: AwsType(
        outputs={"id": "{lower6}"},
        replaced_by="restApi",
        blocked_by=(
            Relation(
                METHOD,
                {"requestValidatorId": "id"},
                "ConflictException: Cannot delete request validator, is referenced in method request",
            ),
        ),
    ),
    RESOURCE: AwsType(
        # `path` is left out: it follows from all the parents, of which the inputs name one by its id.
        outputs={"id": "{lower6}"},
        replaced_by="restApi",
        unique=("restApi", "parentId", "pathPart"),
        # https://docs.aws.amazon.com/apigateway/latest/api/API_DeleteResource.html
        contains=(Relation(RESOURCE, {"parentId": "id"}), Relation(METHOD, {"resourceId": "id"})),
    ),
    GATEWAY_RESPONSE: AwsType(
        outputs={"id": "aggr-{restApiId}-{responseType}"},
        replaced_by="responseType restApiId",
        api="apigateway PutGatewayResponse",
        overwrites=True,
    ),
    REST_API: AwsType(
        outputs={
            "id": "{lower10}",
            "arn": _ARN + "/restapis/{id}",
            "rootResourceId": "{root.lower10}",
            "executionArn": "arn:{partition}:execute-api:{region}:{account}:{id}",
            "createdDate": CREATED,
            "apiKeySource": "HEADER",
        },
        replaced_by="",
        stateful="callers have its address",
        rules_by_inputs=_rest_api,
    ),
    REST_API_POLICY: AwsType(
        outputs={"id": "{restApiId}"},
        replaced_by="restApiId",
        overwrites=True,
    ),
    STAGE: AwsType(
        outputs={
            "id": "ags-{restApi}-{stageName}",
            "arn": _ARN + "/restapis/{restApi}/stages/{stageName}",
            "executionArn": "arn:{partition}:execute-api:{region}:{account}:{restApi}/{stageName}",
            "invokeUrl": "https://{restApi}.execute-api.{region}.{dns_suffix}/{stageName}",
            "webAclArn": "",
        },
        replaced_by="restApi stageName",
        stateful="callers have its address",
        rules={
            "stageName": ValueRule(_API + "CreateStage.html", high=128, pattern="[a-zA-Z0-9_-]+"),
            "accessLogSettings.destinationArn": ValueRule(
                _API + "AccessLogSettings.html",
                pattern="arn:[^:]+:(logs:[^:]+:[0-9]{12}:log-group:.+|firehose:[^:]+:[0-9]{12}:deliverystream/amazon-apigateway-.+)",
            ),
            "canarySettings.percentTraffic": ValueRule(_API + "CanarySettings.html", low=0, high=100),
        },
        needs=(Relation(DEPLOYMENT, {"deployment": "id"}, "BadRequestException: Deployment id does not exist"),),
        contains=(Relation(_METHOD_SETTINGS, {"restApi": "restApi", "stageName": "stageName"}),),
    ),
    USAGE_PLAN: AwsType(
        outputs={"id": "{lower6}", "arn": _ARN + "/usageplans/{id}"},
        replaced_by="",
        stateful="what the keys have used is counted in it",
        rules={
            "quotaSettings": ValueRule(_API + "CreateUsagePlan.html", member="quota"),
            "quotaSettings.limit": ValueRule(_API + "QuotaSettings.html", low=1),
            "throttleSettings": ValueRule(_API + "CreateUsagePlan.html", member="throttle"),
            "throttleSettings.burstLimit": ValueRule(_API + "ThrottleSettings.html", low=0),
            "throttleSettings.rateLimit": ValueRule(_API + "ThrottleSettings.html", low=0),
        },
        rules_by_inputs=_usage_plan,
    ),
    "aws:apigateway/usagePlanKey:UsagePlanKey": AwsType(
        outputs=_usage_plan_key,
        replaced_by="keyId keyType usagePlanId",
        rules={"keyType": ValueRule(_API + "CreateUsagePlanKey.html", values=("API_KEY",))},
        # A key is in one usage plan for each stage.
        # https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-api-usage-plans.html
        unique=("keyId",),
    ),
}
