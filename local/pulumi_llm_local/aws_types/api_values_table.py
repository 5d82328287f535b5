"""What `api_values` can't read from botocore's models: where a type's inputs are, and what the models lack.

Every rule names its source: a page of AWS's documentation or, where the provider differs from the API, of the provider's.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

from pulumi_llm_local.program.arguments import UNKNOWN


@dataclass(frozen=True)
class Rule:
    """What holds for a property; what isn't given is as in the model."""

    source: str
    member: str = ""
    """The path of the API's member within the structure, where its name isn't the property's."""
    low: float | None = None
    """The least number, or the least length of a text or list."""
    high: float | None = None
    values: tuple[Any, ...] = ()
    pattern: str = ""
    exempt: str = ""
    """Why the property isn't checked at all."""
    size: Callable[[Any], int] | None = None
    """What is measured, where that isn't the length."""
    unit: str = "character"

    @property
    def limits(self) -> Mapping[str, Any]:
        given = {"min": self.low, "max": self.high, "enum": self.values, "pattern": self.pattern}
        return {name: limit for name, limit in given.items() if limit not in (None, (), "")}


SERVICES: Final[Mapping[str, str]] = {
    "alb": "elbv2",
    "bedrockmodel": "bedrock",
    "cfg": "config",
    "costexplorer": "ce",
    "lb": "elbv2",
    "sfn": "stepfunctions",
    "vpc": "ec2",
}
"""The services that have another name in botocore than the SDK's module."""

TYPES: Final[Mapping[str, str]] = {
    "aws:apigateway/response:Response": "apigateway PutGatewayResponse",
    "aws:bedrockmodel/invocationLoggingConfiguration:InvocationLoggingConfiguration": (
        "bedrock PutModelInvocationLoggingConfiguration"
    ),
    "aws:budgets/budget:Budget": "budgets CreateBudget.Budget",
    "aws:cfg/rule:Rule": "config PutConfigRule.ConfigRule",
    "aws:cloudfront/cachePolicy:CachePolicy": "cloudfront CreateCachePolicy.CachePolicyConfig",
    "aws:cloudfront/distribution:Distribution": "cloudfront CreateDistribution.DistributionConfig",
    "aws:cloudfront/function:Function": "cloudfront CreateFunction CreateFunction.FunctionConfig",
    "aws:cloudfront/keyGroup:KeyGroup": "cloudfront CreateKeyGroup.KeyGroupConfig",
    "aws:cloudfront/originAccessControl:OriginAccessControl": (
        "cloudfront CreateOriginAccessControl.OriginAccessControlConfig"
    ),
    "aws:cloudfront/originRequestPolicy:OriginRequestPolicy": (
        "cloudfront CreateOriginRequestPolicy.OriginRequestPolicyConfig"
    ),
    "aws:cloudfront/publicKey:PublicKey": "cloudfront CreatePublicKey.PublicKeyConfig",
    "aws:cloudfront/responseHeadersPolicy:ResponseHeadersPolicy": (
        "cloudfront CreateResponseHeadersPolicy.ResponseHeadersPolicyConfig"
    ),
    "aws:cloudwatch/eventRule:EventRule": "events PutRule",
    "aws:cloudwatch/eventTarget:EventTarget": "events PutTargets PutTargets.Targets",
    "aws:cloudwatch/logGroup:LogGroup": "logs CreateLogGroup PutRetentionPolicy",
    "aws:cloudwatch/logMetricFilter:LogMetricFilter": "logs PutMetricFilter",
    "aws:cloudwatch/logResourcePolicy:LogResourcePolicy": "logs PutResourcePolicy",
    "aws:cloudwatch/logSubscriptionFilter:LogSubscriptionFilter": "logs PutSubscriptionFilter",
    "aws:costexplorer/anomalyMonitor:AnomalyMonitor": "ce CreateAnomalyMonitor.AnomalyMonitor",
    "aws:costexplorer/anomalySubscription:AnomalySubscription": "ce CreateAnomalySubscription.AnomalySubscription",
    "aws:dynamodb/table:Table": "dynamodb CreateTable UpdateTimeToLive UpdateContinuousBackups",
    "aws:dynamodb/tableItem:TableItem": "dynamodb PutItem",
    "aws:ec2/eip:Eip": "ec2 AllocateAddress",
    "aws:ec2/flowLog:FlowLog": "ec2 CreateFlowLogs",
    "aws:ec2/instance:Instance": "ec2 RunInstances",
    "aws:ec2/launchTemplate:LaunchTemplate": "ec2 CreateLaunchTemplate CreateLaunchTemplate.LaunchTemplateData",
    "aws:ec2/routeTableAssociation:RouteTableAssociation": "ec2 AssociateRouteTable",
    "aws:eks/nodeGroup:NodeGroup": "eks CreateNodegroup",
    "aws:iam/rolePolicyAttachment:RolePolicyAttachment": "iam AttachRolePolicy",
    "aws:kms/key:Key": "kms CreateKey EnableKeyRotation",
    "aws:lambda/function:Function": "lambda CreateFunction CreateFunction.Code",
    "aws:lambda/functionUrl:FunctionUrl": "lambda CreateFunctionUrlConfig",
    "aws:route53/record:Record": "route53 ChangeResourceRecordSets.ChangeBatch.Changes.ResourceRecordSet",
    "aws:s3/bucketCorsConfiguration:BucketCorsConfiguration": "s3 PutBucketCors.CORSConfiguration",
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": (
        "s3 PutBucketLifecycleConfiguration PutBucketLifecycleConfiguration.LifecycleConfiguration"
    ),
    "aws:s3/bucketLogging:BucketLogging": "s3 PutBucketLogging.BucketLoggingStatus.LoggingEnabled",
    "aws:s3/bucketNotification:BucketNotification": ("s3 PutBucketNotificationConfiguration.NotificationConfiguration"),
    "aws:s3/bucketObject:BucketObject": "s3 PutObject",
    "aws:s3/bucketObjectv2:BucketObjectv2": "s3 PutObject",
    "aws:s3/bucketOwnershipControls:BucketOwnershipControls": "s3 PutBucketOwnershipControls.OwnershipControls",
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": (
        "s3 PutBucketEncryption.ServerSideEncryptionConfiguration"
    ),
    "aws:s3/bucketWebsiteConfiguration:BucketWebsiteConfiguration": "s3 PutBucketWebsite.WebsiteConfiguration",
    "aws:s3/vectorsIndex:VectorsIndex": "s3vectors CreateIndex",
    "aws:s3/vectorsVectorBucket:VectorsVectorBucket": "s3vectors CreateVectorBucket",
    "aws:secretsmanager/secretVersion:SecretVersion": "secretsmanager PutSecretValue",
    "aws:sns/topicSubscription:TopicSubscription": "sns Subscribe",
    "aws:wafv2/webAclAssociation:WebAclAssociation": "wafv2 AssociateWebACL",
    "aws:wafv2/webAclLoggingConfiguration:WebAclLoggingConfiguration": ("wafv2 PutLoggingConfiguration.LoggingConfiguration"),
}
"""Per type the service, then where its inputs are: operations or structures within their input, the first that has a member.

A type that isn't here is looked up by its name: `Create`, `Put`, … and the kind.
"""

_AWS: Final = "https://docs.aws.amazon.com/"
_PROVIDER: Final = "https://www.pulumi.com/registry/packages/aws/api-docs/"
_APIGATEWAY: Final = _AWS + "apigateway/latest/api/API_"
_GATEWAY_QUOTAS: Final = _AWS + "apigateway/latest/developerguide/api-gateway-execution-service-limits-table.html"
_APIGATEWAY_V2: Final = _AWS + "apigatewayv2/latest/api-reference/"
_CLOUDFRONT: Final = _AWS + "cloudfront/latest/APIReference/API_"
_DYNAMODB: Final = _AWS + "amazondynamodb/latest/APIReference/API_"
_EC2: Final = _AWS + "AWSEC2/latest/APIReference/API_"
_IAM_QUOTAS: Final = _AWS + "IAM/latest/UserGuide/reference_iam-quotas.html"
_KMS: Final = _AWS + "kms/latest/APIReference/API_"
_LAMBDA_QUOTAS: Final = _AWS + "lambda/latest/dg/gettingstarted-limits.html"
_S3: Final = _AWS + "AmazonS3/latest/"
_SNS: Final = _AWS + "sns/latest/api/API_CreateTopic.html"
_SQS: Final = _AWS + "AWSSimpleQueueService/latest/APIReference/API_CreateQueue.html"
_SSM: Final = _AWS + "systems-manager/latest/APIReference/API_PutParameter.html"
_TAGS: Final = _AWS + "tag-editor/latest/userguide/best-practices-and-strats.html"

TAG_KEY: Final = Rule(_TAGS, high=128)
TAG_VALUE: Final = Rule(_TAGS, high=256)


def _visible(text: Any) -> int:
    """IAM counts a policy's characters without white space."""
    return sum(not character.isspace() for character in text) if isinstance(text, str) else 0


def _inline_policies(policies: Any) -> int:
    given = cast("list[Any]", policies) if isinstance(policies, list) else []
    return sum(_visible(cast("dict[str, Any]", policy).get("policy")) for policy in given if isinstance(policy, dict))


def _bytes_of_variables(variables: Any) -> int:
    given = cast("dict[str, Any]", variables) if isinstance(variables, dict) else {}
    known = {name: value for name, value in given.items() if isinstance(value, str) and UNKNOWN not in value}
    return sum(len(f"{name}{value}".encode()) for name, value in known.items())


_METHODS: Final = Rule(
    _APIGATEWAY + "PutMethod.html", values=("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "ANY")
)
_ACLS: Final = Rule(  # the model lacks the last two
    _S3 + "userguide/acl-overview.html",
    values=("private", "public-read", "public-read-write", "authenticated-read", "aws-exec-read", "log-delivery-write"),
)
_INSTANCE_TYPES: Final = Rule(
    _AWS + "ec2/latest/instancetypes/ec2-instance-type-specifications.html",
    exempt="new types come by the week, so that the model's list is out of date where it is used",
)
_PORTS: Final = Rule(_EC2 + "IpPermission.html", low=-1, high=65535)
_POLICY_TEXT: Final = "character besides white space"
_RETENTION: Final = (
    *(0, 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653),
)

PROPERTIES: Final[Mapping[str, Mapping[str, Rule]]] = {
    # API Gateway, whose model has hardly any bounds
    "aws:apigateway/apiKey:ApiKey": {"value": Rule(_GATEWAY_QUOTAS, low=20, high=128)},
    "aws:apigateway/authorizer:Authorizer": {
        "authorizerResultTtlInSeconds": Rule(_APIGATEWAY + "CreateAuthorizer.html", low=0, high=3600),
    },
    "aws:apigateway/integration:Integration": {
        "httpMethod": _METHODS,
        "integrationHttpMethod": _METHODS,
        "passthroughBehavior": Rule(
            _APIGATEWAY + "PutIntegration.html", values=("WHEN_NO_MATCH", "WHEN_NO_TEMPLATES", "NEVER")
        ),
        "timeoutMilliseconds": Rule(_GATEWAY_QUOTAS, member="timeoutInMillis"),  # its bounds: below
    },
    "aws:apigateway/integrationResponse:IntegrationResponse": {"httpMethod": _METHODS},
    "aws:apigateway/method:Method": {
        "httpMethod": _METHODS,
        "authorization": Rule(_APIGATEWAY + "PutMethod.html", values=("NONE", "AWS_IAM", "CUSTOM", "COGNITO_USER_POOLS")),
    },
    "aws:apigateway/methodResponse:MethodResponse": {"httpMethod": _METHODS},
    "aws:apigateway/methodSettings:MethodSettings": {
        "settings.loggingLevel": Rule(_APIGATEWAY + "MethodSetting.html", values=("OFF", "ERROR", "INFO")),
        "settings.cacheTtlInSeconds": Rule(_GATEWAY_QUOTAS, low=0, high=3600),
        # -1, the provider's default, is no limit of the method's own
        "settings.throttlingBurstLimit": Rule(_PROVIDER + "apigateway/methodsettings/", low=-1),
        "settings.throttlingRateLimit": Rule(_PROVIDER + "apigateway/methodsettings/", low=-1),
        "settings.unauthorizedCacheControlHeaderStrategy": Rule(
            _APIGATEWAY + "MethodSetting.html",
            values=("FAIL_WITH_403", "SUCCEED_WITH_RESPONSE_HEADER", "SUCCEED_WITHOUT_RESPONSE_HEADER"),
        ),
    },
    "aws:apigateway/model:Model": {"name": Rule(_APIGATEWAY + "CreateModel.html", pattern="[a-zA-Z0-9]+")},
    "aws:apigateway/stage:Stage": {
        "stageName": Rule(_APIGATEWAY + "CreateStage.html", high=128, pattern="[a-zA-Z0-9_-]+"),
        "canarySettings.percentTraffic": Rule(_APIGATEWAY + "CanarySettings.html", low=0, high=100),
    },
    "aws:apigateway/usagePlan:UsagePlan": {
        "quotaSettings": Rule(_APIGATEWAY + "CreateUsagePlan.html", member="quota"),
        "quotaSettings.limit": Rule(_APIGATEWAY + "QuotaSettings.html", low=1),
        "throttleSettings": Rule(_APIGATEWAY + "CreateUsagePlan.html", member="throttle"),
        "throttleSettings.burstLimit": Rule(_APIGATEWAY + "ThrottleSettings.html", low=0),
        "throttleSettings.rateLimit": Rule(_APIGATEWAY + "ThrottleSettings.html", low=0),
    },
    "aws:apigateway/usagePlanKey:UsagePlanKey": {
        "keyType": Rule(_APIGATEWAY + "CreateUsagePlanKey.html", values=("API_KEY",)),
    },
    "aws:apigatewayv2/integration:Integration": {
        "timeoutMilliseconds": Rule(
            _AWS + "apigatewayv2/latest/api-reference/apis-apiid-integrations.html", low=50, high=30000
        ),
    },
    # Certificates: the provider's own value for one that isn't validated
    "aws:acm/certificate:Certificate": {
        "validationMethod": Rule(_PROVIDER + "acm/certificate/", values=("DNS", "EMAIL", "HTTP", "NONE")),
    },
    "aws:bedrock/guardrail:Guardrail": {
        "kmsKeyArn": Rule(_AWS + "bedrock/latest/APIReference/API_CreateGuardrail.html", member="kmsKeyId"),
    },
    "aws:cloudfront/distribution:Distribution": {
        "defaultCacheBehavior.cachedMethods": Rule(_CLOUDFRONT + "AllowedMethods.html", member="AllowedMethods.CachedMethods"),
        "orderedCacheBehaviors": Rule(_CLOUDFRONT + "DistributionConfig.html", member="CacheBehaviors"),
        "orderedCacheBehaviors.cachedMethods": Rule(_CLOUDFRONT + "AllowedMethods.html", member="AllowedMethods.CachedMethods"),
    },
    "aws:cloudfront/function:Function": {
        "code": Rule(_AWS + "AmazonCloudFront/latest/DeveloperGuide/cloudfront-limits.html", high=10240),
    },
    # CloudWatch, Logs
    "aws:cloudwatch/logGroup:LogGroup": {  # 0 is the provider's word for ever
        "retentionInDays": Rule(
            _AWS + "AmazonCloudWatchLogs/latest/APIReference/API_PutRetentionPolicy.html", values=_RETENTION
        ),
    },
    "aws:cloudwatch/metricAlarm:MetricAlarm": {
        "name": Rule(_AWS + "AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html", member="AlarmName"),
        "treatMissingData": Rule(
            _AWS + "AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html",
            values=("breaching", "notBreaching", "ignore", "missing"),
        ),
    },
    # DynamoDB: a table's schema and capacities stand flat in the SDK
    "aws:dynamodb/table:Table": {
        "name": Rule(_DYNAMODB + "CreateTable.html", low=3, high=255, pattern="[a-zA-Z0-9_.-]+"),
        "attributes": Rule(_DYNAMODB + "CreateTable.html", member="AttributeDefinitions"),
        "hashKey": Rule(_DYNAMODB + "KeySchemaElement.html", low=1, high=255),
        "rangeKey": Rule(_DYNAMODB + "KeySchemaElement.html", low=1, high=255),
        "streamViewType": Rule(_DYNAMODB + "StreamSpecification.html", member="StreamSpecification.StreamViewType"),
        "ttl": Rule(_DYNAMODB + "UpdateTimeToLive.html", member="TimeToLiveSpecification"),
        "pointInTimeRecovery": Rule(_DYNAMODB + "UpdateContinuousBackups.html", member="PointInTimeRecoverySpecification"),
        "globalSecondaryIndexes.projectionType": Rule(_DYNAMODB + "Projection.html", member="Projection.ProjectionType"),
        "globalSecondaryIndexes.nonKeyAttributes": Rule(_DYNAMODB + "Projection.html", member="Projection.NonKeyAttributes"),
        "localSecondaryIndexes.projectionType": Rule(_DYNAMODB + "Projection.html", member="Projection.ProjectionType"),
        "localSecondaryIndexes.nonKeyAttributes": Rule(_DYNAMODB + "Projection.html", member="Projection.NonKeyAttributes"),
    },
    "aws:ec2/flowLog:FlowLog": {"maxAggregationInterval": Rule(_EC2 + "CreateFlowLogs.html", values=(60, 600))},
    "aws:ec2/instance:Instance": {"instanceType": _INSTANCE_TYPES},
    "aws:ec2/launchTemplate:LaunchTemplate": {"instanceType": _INSTANCE_TYPES},
    "aws:ec2/securityGroup:SecurityGroup": {
        "egress.fromPort": _PORTS,
        "egress.toPort": _PORTS,
        "ingress.fromPort": _PORTS,
        "ingress.toPort": _PORTS,
        "name": Rule(_EC2 + "CreateSecurityGroup.html", high=255),
        "description": Rule(_EC2 + "CreateSecurityGroup.html", high=255, pattern=r"[a-zA-Z0-9. _\-:/()#,@\[\]+=&;{}!$*]*"),
    },
    "aws:ec2/securityGroupRule:SecurityGroupRule": {
        "type": Rule(_PROVIDER + "ec2/securitygrouprule/", values=("ingress", "egress")),
        "fromPort": _PORTS,
        "toPort": _PORTS,
    },
    "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule": {"fromPort": _PORTS, "toPort": _PORTS},
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": {"fromPort": _PORTS, "toPort": _PORTS},
    # IAM: a role's inline policies count together; a trust policy's 2048 can be raised to 4096
    "aws:iam/policy:Policy": {
        "policy": Rule(_IAM_QUOTAS, member="PolicyDocument", high=6144, size=_visible, unit=_POLICY_TEXT)
    },
    "aws:iam/role:Role": {
        "assumeRolePolicy": Rule(_IAM_QUOTAS, member="AssumeRolePolicyDocument", high=4096, size=_visible, unit=_POLICY_TEXT),
        "inlinePolicies": Rule(_IAM_QUOTAS, high=10240, size=_inline_policies, unit=_POLICY_TEXT),
    },
    "aws:iam/rolePolicy:RolePolicy": {
        "policy": Rule(_IAM_QUOTAS, member="PolicyDocument", high=10240, size=_visible, unit=_POLICY_TEXT)
    },
    "aws:kms/alias:Alias": {
        "name": Rule(_KMS + "CreateAlias.html", high=256, pattern="alias/[a-zA-Z0-9/_-]+"),
    },
    "aws:kms/key:Key": {
        # the provider's name for the key spec is the API's old one, whose model has fewer values
        "customerMasterKeySpec": Rule(_PROVIDER + "kms/key/", member="KeySpec"),
        "deletionWindowInDays": Rule(_KMS + "ScheduleKeyDeletion.html", low=7, high=30),
        "rotationPeriodInDays": Rule(_KMS + "EnableKeyRotation.html", low=90, high=2560),
    },
    # Lambda: more bounds below, for what they are depends on where the function runs
    "aws:lambda/function:Function": {
        "name": Rule(_AWS + "lambda/latest/api/API_CreateFunction.html", high=64, pattern="[a-zA-Z0-9-_]+"),
        "environment.variables": Rule(_LAMBDA_QUOTAS, high=4096, size=_bytes_of_variables, unit="byte"),
        # -1, the provider's default, reserves none
        "reservedConcurrentExecutions": Rule(_PROVIDER + "lambda/function/", low=-1),
        "s3Key": Rule(_S3 + "userguide/object-keys.html", low=1, high=1024),
    },
    "aws:lambda/functionUrl:FunctionUrl": {
        "authorizationType": Rule(_AWS + "lambda/latest/api/API_CreateFunctionUrlConfig.html", member="AuthType"),
    },
    "aws:lambda/permission:Permission": {
        "function": Rule(_AWS + "lambda/latest/api/API_AddPermission.html", member="FunctionName"),
    },
    # S3
    "aws:s3/bucket:Bucket": {
        "acl": _ACLS,
        "bucket": Rule(_S3 + "userguide/bucketnamingrules.html", low=3, high=63, pattern="[a-z0-9][a-z0-9.-]*[a-z0-9]"),
    },
    "aws:s3/bucketAcl:BucketAcl": {"acl": _ACLS},
    "aws:s3/bucketNotification:BucketNotification": {
        "lambdaFunctions": Rule(_S3 + "API/API_NotificationConfiguration.html", member="LambdaFunctionConfigurations"),
        "queues": Rule(_S3 + "API/API_NotificationConfiguration.html", member="QueueConfigurations"),
        "topics": Rule(_S3 + "API/API_NotificationConfiguration.html", member="TopicConfigurations"),
    },
    "aws:s3/bucketVersioning:BucketVersioning": {  # Disabled is the provider's, for a bucket that never had versions
        "versioningConfiguration.status": Rule(_PROVIDER + "s3/bucketversioning/", values=("Enabled", "Suspended", "Disabled")),
    },
    "aws:secretsmanager/secret:Secret": {
        "recoveryWindowInDays": Rule(_PROVIDER + "secretsmanager/secret/", values=(0, *range(7, 31))),
    },
    # SNS and SQS take their settings as a map of texts
    "aws:sns/topic:Topic": {
        "name": Rule(_SNS, high=256, pattern=r"[a-zA-Z0-9_-]+(\.fifo)?"),
        "signatureVersion": Rule(_SNS, values=(1, 2)),
        "tracingConfig": Rule(_SNS, values=("PassThrough", "Active")),
        "fifoThroughputScope": Rule(_SNS, values=("Topic", "MessageGroup")),
    },
    "aws:sqs/queue:Queue": {
        "name": Rule(_SQS, high=80, pattern=r"[a-zA-Z0-9_-]+(\.fifo)?"),
        "deduplicationScope": Rule(_SQS, values=("messageGroup", "queue")),
        "delaySeconds": Rule(_SQS, low=0, high=900),
        "fifoThroughputLimit": Rule(_SQS, values=("perQueue", "perMessageGroupId")),
        "kmsDataKeyReusePeriodSeconds": Rule(_SQS, low=60, high=86400),
        "maxMessageSize": Rule(_SQS, low=1024, high=1048576),
        "messageRetentionSeconds": Rule(_SQS, low=60, high=1209600),
        "receiveWaitTimeSeconds": Rule(_SQS, low=0, high=20),
        "visibilityTimeoutSeconds": Rule(_SQS, low=0, high=43200),
    },
    "aws:ssm/parameter:Parameter": {
        "dataType": Rule(_SSM, values=("text", "aws:ec2:image", "aws:ssm:integration")),
    },
}
"""Per type what holds for its properties, by their paths without positions; `*` stands for a map's keys."""


def _integration(inputs: Mapping[str, Any]) -> Mapping[str, Rule]:
    """A response that is streamed has 15 minutes; another 29 s, unless the account's quota was raised."""
    streamed = inputs.get("responseTransferMode", "BUFFERED") != "BUFFERED"
    return {"timeoutMilliseconds": Rule(_GATEWAY_QUOTAS, low=50, high=900000 if streamed else 29000)}


def _usage_plan(inputs: Mapping[str, Any]) -> Mapping[str, Rule]:
    """A quota begins on a day of its period."""
    quota = cast("object", inputs.get("quotaSettings"))
    period = cast("Mapping[str, Any]", quota).get("period") if isinstance(quota, Mapping) else None
    last = {"DAY": 0, "WEEK": 6}.get(str(period), 27)
    return {"quotaSettings.offset": Rule(_APIGATEWAY + "QuotaSettings.html", low=0, high=last)}


def _function(inputs: Mapping[str, Any]) -> Mapping[str, Rule]:
    """The model's bounds are those of functions on managed instances."""
    if inputs.get("capacityProviderConfig") is not None:
        return {}
    return {
        "timeout": Rule(_LAMBDA_QUOTAS, high=900),
        "memorySize": Rule(_LAMBDA_QUOTAS, high=10240),
        "ephemeralStorage.size": Rule(_LAMBDA_QUOTAS, high=10240),
    }


def _parameter(inputs: Mapping[str, Any]) -> Mapping[str, Rule]:
    """The standard tier has the smaller values."""
    high = 4096 if inputs.get("tier", "Standard") == "Standard" else 8192
    return {name: Rule(_SSM, high=high) for name in ("value", "insecureValue")}


DEPENDENT: Final[Mapping[str, Callable[[Mapping[str, Any]], Mapping[str, Rule]]]] = {
    "aws:apigateway/integration:Integration": _integration,
    "aws:apigateway/usagePlan:UsagePlan": _usage_plan,
    "aws:lambda/function:Function": _function,
    "aws:ssm/parameter:Parameter": _parameter,
}
"""Per type the rules that depend on its other inputs. They replace those of `PROPERTIES` but for the member."""
