"""The table of computed outputs: per resource type its id and every output that other resources use.

A name in braces is filled in: an input, an earlier output of the same entry, `{name}` (the physical name), `{region}`,
`{account}`, `{partition}`, `{dns_suffix}` (of its endpoints), or a draw: `{uuid}`, `{sha256}`, `{hex17}`, `{digits12}`,
`{lower10}`, `{upper13}` (lower- or upper-case letters and digits). A word before a draw, as in `{root.lower10}`, gives
another one. Types whose outputs need more than that are in `computed_rules`.
"""

from collections.abc import Mapping
from typing import Any, Final

_GATEWAY: Final = "arn:{partition}:apigateway:{region}::"
_CLOUDFRONT: Final = "arn:{partition}:cloudfront::{account}:"
_CLOUDFRONT_ZONE: Final = "Z2FDTNDATAQYW2"  # every distribution's, says Route 53's guide
_CREATED: Final = "2026-01-01T00:00:00Z"
_EC2: Final = "arn:{partition}:ec2:{region}:{account}:"
_IAM: Final = "arn:{partition}:iam::{account}:"
_LAMBDA: Final = "arn:{partition}:lambda:{region}:{account}:"
_BUCKET_ID: Final = {"id": "{bucket}"}

TEMPLATES: Final[Mapping[str, Mapping[str, Any]]] = {
    # API Gateway: REST APIs
    "aws:apigateway/account:Account": {
        "id": "api-gateway-account",
        "apiKeyVersion": "4",
        "features": ["UsagePlans"],
        "throttleSettings": [{"burstLimit": 5000, "rateLimit": 10000}],
    },
    "aws:apigateway/authorizer:Authorizer": {
        "id": "{lower6}",
        "arn": _GATEWAY + "/restapis/{restApi}/authorizers/{id}",
    },
    "aws:apigateway/basePathMapping:BasePathMapping": {"id": "{domainName}/{basePath}"},
    "aws:apigateway/deployment:Deployment": {"id": "{lower6}", "createdDate": _CREATED},
    "aws:apigateway/domainName:DomainName": {
        "id": "{domainName}",
        "arn": _GATEWAY + "/domainnames/{domainName}",
        "certificateUploadDate": _CREATED,
        "cloudfrontDomainName": "d{lower13}.cloudfront.net",
        "cloudfrontZoneId": _CLOUDFRONT_ZONE,
        "regionalDomainName": "d-{lower10}.execute-api.{region}.{dns_suffix}",
        "regionalZoneId": "Z{zone.upper13}",
    },
    "aws:apigateway/integration:Integration": {
        "id": "agi-{restApi}-{resourceId}-{httpMethod}",
        "cacheNamespace": "{resourceId}",
        "passthroughBehavior": "WHEN_NO_MATCH",
    },
    "aws:apigateway/integrationResponse:IntegrationResponse": {"id": "agir-{restApi}-{resourceId}-{httpMethod}-{statusCode}"},
    "aws:apigateway/method:Method": {"id": "agm-{restApi}-{resourceId}-{httpMethod}"},
    "aws:apigateway/methodResponse:MethodResponse": {"id": "agmr-{restApi}-{resourceId}-{httpMethod}-{statusCode}"},
    "aws:apigateway/methodSettings:MethodSettings": {"id": "{restApi}-{stageName}-{methodPath}"},
    "aws:apigateway/model:Model": {"id": "{lower6}"},
    "aws:apigateway/requestValidator:RequestValidator": {"id": "{lower6}"},
    # `path` is left out: it follows from all the parents, of which the inputs name one by its id.
    "aws:apigateway/resource:Resource": {"id": "{lower6}"},
    "aws:apigateway/response:Response": {"id": "aggr-{restApiId}-{responseType}"},
    "aws:apigateway/restApi:RestApi": {
        "id": "{lower10}",
        "arn": _GATEWAY + "/restapis/{id}",
        "rootResourceId": "{root.lower10}",
        "executionArn": "arn:{partition}:execute-api:{region}:{account}:{id}",
        "createdDate": _CREATED,
        "apiKeySource": "HEADER",
    },
    "aws:apigateway/restApiPolicy:RestApiPolicy": {"id": "{restApiId}"},
    "aws:apigateway/stage:Stage": {
        "id": "ags-{restApi}-{stageName}",
        "arn": _GATEWAY + "/restapis/{restApi}/stages/{stageName}",
        "executionArn": "arn:{partition}:execute-api:{region}:{account}:{restApi}/{stageName}",
        "invokeUrl": "https://{restApi}.execute-api.{region}.{dns_suffix}/{stageName}",
        "webAclArn": "",
    },
    "aws:apigateway/usagePlan:UsagePlan": {"id": "{lower6}", "arn": _GATEWAY + "/usageplans/{id}"},
    "aws:apigateway/vpcLink:VpcLink": {"id": "{lower6}", "arn": _GATEWAY + "/vpclinks/{id}"},
    # API Gateway: WebSocket and HTTP APIs (Api and Stage are rules)
    "aws:apigatewayv2/apiMapping:ApiMapping": {"id": "{lower6}"},
    "aws:apigatewayv2/authorizer:Authorizer": {"id": "{lower6}"},
    "aws:apigatewayv2/deployment:Deployment": {"id": "{lower6}", "autoDeployed": False},
    "aws:apigatewayv2/domainName:DomainName": {
        "id": "{domainName}",
        "arn": _GATEWAY + "/domainnames/{domainName}",
        "apiMappingSelectionExpression": "$request.basepath",
    },
    "aws:apigatewayv2/integration:Integration": {
        "id": "{lower7}",
    },
    "aws:apigatewayv2/integrationResponse:IntegrationResponse": {"id": "{lower7}"},
    "aws:apigatewayv2/route:Route": {"id": "{lower7}"},
    "aws:apigatewayv2/routeResponse:RouteResponse": {"id": "{lower7}"},
    # Bedrock
    "aws:bedrock/guardrail:Guardrail": {
        "id": "{guardrailId},{version}",
        "guardrailId": "{lower12}",
        "guardrailArn": "arn:{partition}:bedrock:{region}:{account}:guardrail/{guardrailId}",
        "version": "DRAFT",
        "status": "READY",
        "createdAt": _CREATED,
        "updatedAt": _CREATED,
    },
    "aws:bedrock/guardrailVersion:GuardrailVersion": {"id": "{guardrailArn},{version}", "version": "1"},
    "aws:bedrock/inferenceProfile:InferenceProfile": {
        "id": "{lower12}",
        "arn": "arn:{partition}:bedrock:{region}:{account}:application-inference-profile/{id}",
        "status": "ACTIVE",
        "type": "APPLICATION",
        "createdAt": _CREATED,
        "updatedAt": _CREATED,
    },
    "aws:bedrockmodel/invocationLoggingConfiguration:InvocationLoggingConfiguration": {"id": "{region}"},
    # CloudFront
    "aws:cloudfront/cachePolicy:CachePolicy": {
        "id": "{uuid}",
        "arn": _CLOUDFRONT + "cache-policy/{id}",
        "etag": "E{tag.upper13}",
    },
    "aws:cloudfront/distribution:Distribution": {
        "id": "E{upper13}",
        "arn": _CLOUDFRONT + "distribution/{id}",
        "domainName": "d{lower13}.cloudfront.net",
        "hostedZoneId": _CLOUDFRONT_ZONE,
        "status": "Deployed",
        "etag": "E{tag.upper13}",
        "callerReference": "terraform-{digits26}",
        "inProgressValidationBatches": 0,
        "lastModifiedTime": "2026-01-01 00:00:00 +0000 UTC",
        "loggingV1Enabled": False,
        "trustedKeyGroups": [{"enabled": False, "items": []}],
        "trustedSigners": [{"enabled": False, "items": []}],
    },
    "aws:cloudfront/function:Function": {
        "id": "{name}",
        "arn": _CLOUDFRONT + "function/{name}",
        "etag": "E{tag.upper13}",
        "liveStageEtag": "E{live.upper13}",
        "status": "UNASSOCIATED",
    },
    "aws:cloudfront/keyGroup:KeyGroup": {"id": "{uuid}", "etag": "E{tag.upper13}"},
    "aws:cloudfront/keyValueStore:KeyValueStore": {
        "id": "{name}",
        "arn": _CLOUDFRONT + "key-value-store/{uuid}",
        "etag": "E{tag.upper13}",
        "lastModifiedTime": _CREATED,
    },
    "aws:cloudfront/originAccessControl:OriginAccessControl": {
        "id": "E{upper13}",
        "arn": _CLOUDFRONT + "origin-access-control/{id}",
        "etag": "E{tag.upper13}",
    },
    "aws:cloudfront/originRequestPolicy:OriginRequestPolicy": {
        "id": "{uuid}",
        "arn": _CLOUDFRONT + "origin-request-policy/{id}",
        "etag": "E{tag.upper13}",
    },
    "aws:cloudfront/publicKey:PublicKey": {
        "id": "K{upper13}",
        "etag": "E{tag.upper13}",
        "callerReference": "terraform-{digits26}",
    },
    "aws:cloudfront/responseHeadersPolicy:ResponseHeadersPolicy": {
        "id": "{uuid}",
        "arn": _CLOUDFRONT + "response-headers-policy/{id}",
        "etag": "E{tag.upper13}",
    },
    # CloudWatch, EventBridge
    "aws:cloudwatch/compositeAlarm:CompositeAlarm": {
        "id": "{alarmName}",
        "arn": "arn:{partition}:cloudwatch:{region}:{account}:alarm:{alarmName}",
    },
    "aws:cloudwatch/dashboard:Dashboard": {
        "id": "{dashboardName}",
        "dashboardArn": "arn:{partition}:cloudwatch::{account}:dashboard/{dashboardName}",
    },
    "aws:cloudwatch/eventRule:EventRule": {
        "id": "{name}",
        "arn": "arn:{partition}:events:{region}:{account}:rule/{name}",
    },
    "aws:cloudwatch/eventTarget:EventTarget": {"id": "{rule}-{targetId}"},
    "aws:cloudwatch/logGroup:LogGroup": {
        "id": "{name}",
        "arn": "arn:{partition}:logs:{region}:{account}:log-group:{name}",
        "logGroupClass": "STANDARD",
    },
    "aws:cloudwatch/logMetricFilter:LogMetricFilter": {"id": "{name}"},
    "aws:cloudwatch/logResourcePolicy:LogResourcePolicy": {"id": "{policyName}"},
    "aws:cloudwatch/metricAlarm:MetricAlarm": {
        "id": "{name}",
        "arn": "arn:{partition}:cloudwatch:{region}:{account}:alarm:{name}",
    },
    # DynamoDB (Table is a rule)
    "aws:dynamodb/tableItem:TableItem": {"id": "{tableName}|{hashKey}||{hex16}"},
    # EC2
    "aws:ec2/eip:Eip": {
        "id": "eipalloc-{hex17}",
        "allocationId": "{id}",
        "arn": _EC2 + "elastic-ip/{id}",
        "publicIp": "203.0.113.10",
        "domain": "vpc",
    },
    "aws:ec2/flowLog:FlowLog": {"id": "fl-{hex17}", "arn": _EC2 + "vpc-flow-log/{id}"},
    "aws:ec2/internetGateway:InternetGateway": {
        "id": "igw-{hex17}",
        "arn": _EC2 + "internet-gateway/{id}",
        "ownerId": "{account}",
    },
    "aws:ec2/launchTemplate:LaunchTemplate": {
        "id": "lt-{hex17}",
        "arn": _EC2 + "launch-template/{id}",
        "latestVersion": 1,
        "defaultVersion": 1,
    },
    "aws:ec2/natGateway:NatGateway": {
        "id": "nat-{hex17}",
        "networkInterfaceId": "eni-{interface.hex17}",
        "privateIp": "10.0.0.10",
        "publicIp": "203.0.113.11",
    },
    "aws:ec2/route:Route": {"id": "r-{routeTableId}{digits10}", "origin": "CreateRoute", "state": "active"},
    "aws:ec2/routeTable:RouteTable": {
        "id": "rtb-{hex17}",
        "arn": _EC2 + "route-table/{id}",
        "ownerId": "{account}",
    },
    "aws:ec2/routeTableAssociation:RouteTableAssociation": {"id": "rtbassoc-{hex17}"},
    "aws:ec2/securityGroup:SecurityGroup": {
        "id": "sg-{hex17}",
        "arn": _EC2 + "security-group/{id}",
        "ownerId": "{account}",
    },
    "aws:ec2/securityGroupRule:SecurityGroupRule": {
        "id": "sgrule-{digits10}",
        "securityGroupRuleId": "sgr-{hex17}",
    },
    "aws:ec2/subnet:Subnet": {
        "id": "subnet-{hex17}",
        "arn": _EC2 + "subnet/{id}",
        "ownerId": "{account}",
        "availabilityZone": "{region}a",
    },
    "aws:ec2/vpc:Vpc": {
        "id": "vpc-{hex17}",
        "arn": _EC2 + "vpc/{id}",
        "ownerId": "{account}",
        "cidrBlock": "10.0.0.0/16",
        "defaultNetworkAclId": "acl-{acl.hex17}",
        "defaultRouteTableId": "rtb-{routes.hex17}",
        "defaultSecurityGroupId": "sg-{group.hex17}",
        "dhcpOptionsId": "dopt-{dhcp.hex17}",
        "mainRouteTableId": "{defaultRouteTableId}",
    },
    "aws:ec2/vpcEndpoint:VpcEndpoint": {
        "id": "vpce-{hex17}",
        "arn": _EC2 + "vpc-endpoint/{id}",
        "ownerId": "{account}",
        "state": "available",
        "prefixListId": "pl-{hex8}",
        "requesterManaged": False,
        "dnsEntries": [],
        "networkInterfaceIds": [],
        "cidrBlocks": [],
    },
    "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule": {
        "id": "sgr-{hex17}",
        "securityGroupRuleId": "{id}",
        "arn": _EC2 + "security-group-rule/{id}",
    },
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": {
        "id": "sgr-{hex17}",
        "securityGroupRuleId": "{id}",
        "arn": _EC2 + "security-group-rule/{id}",
    },
    # IAM (Role, Policy and OpenIdConnectProvider are rules)
    "aws:iam/rolePolicy:RolePolicy": {"id": "{role}:{name}"},
    "aws:iam/rolePolicyAttachment:RolePolicyAttachment": {"id": "{role}-{digits26}"},
    # KMS (Alias is a rule)
    "aws:kms/key:Key": {
        "id": "{uuid}",
        "keyId": "{id}",
        "arn": "arn:{partition}:kms:{region}:{account}:key/{id}",
        "keyUsage": "ENCRYPT_DECRYPT",
    },
    # Lambda (Function and what names one are rules)
    "aws:lambda/layerVersion:LayerVersion": {
        "id": "{layerArn}:{version}",
        "layerArn": _LAMBDA + "layer:{layerName}",
        "version": "1",
        "arn": "{layerArn}:{version}",
        "codeSha256": "{sha256}",
        "createdDate": _CREATED,
        "signingJobArn": "",
        "signingProfileVersionArn": "",
        "sourceCodeHash": "{codeSha256}",
        "sourceCodeSize": 1024,
    },
    "aws:lambda/permission:Permission": {"id": "{statementId}"},
    "aws:lambda/provisionedConcurrencyConfig:ProvisionedConcurrencyConfig": {"id": "{functionName},{qualifier}"},
    # S3 (Bucket is a rule)
    "aws:s3/bucketAcl:BucketAcl": _BUCKET_ID,
    "aws:s3/bucketCorsConfiguration:BucketCorsConfiguration": _BUCKET_ID,
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": _BUCKET_ID,
    "aws:s3/bucketLogging:BucketLogging": _BUCKET_ID,
    "aws:s3/bucketNotification:BucketNotification": _BUCKET_ID,
    "aws:s3/bucketObject:BucketObject": {
        "id": "{bucket}/{key}",
        "arn": "arn:{partition}:s3:::{bucket}/{key}",
        "etag": "{hex32}",
        "versionId": "{lower32}",
    },
    "aws:s3/bucketObjectv2:BucketObjectv2": {
        "id": "{bucket}/{key}",
        "arn": "arn:{partition}:s3:::{bucket}/{key}",
        "etag": "{hex32}",
        "versionId": "{lower32}",
    },
    "aws:s3/bucketOwnershipControls:BucketOwnershipControls": _BUCKET_ID,
    "aws:s3/bucketPolicy:BucketPolicy": _BUCKET_ID,
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": _BUCKET_ID,
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": _BUCKET_ID,
    "aws:s3/bucketVersioning:BucketVersioning": _BUCKET_ID,
    "aws:s3/bucketWebsiteConfiguration:BucketWebsiteConfiguration": {
        "id": "{bucket}",
        "websiteDomain": "s3-website-{region}.{dns_suffix}",
        "websiteEndpoint": "{bucket}.{websiteDomain}",
    },
    "aws:s3/vectorsIndex:VectorsIndex": {
        "id": "{indexArn}",
        "indexArn": "arn:{partition}:s3vectors:{region}:{account}:bucket/{vectorBucketName}/index/{indexName}",
        "creationTime": _CREATED,
    },
    "aws:s3/vectorsVectorBucket:VectorsVectorBucket": {
        "id": "{vectorBucketArn}",
        "vectorBucketArn": "arn:{partition}:s3vectors:{region}:{account}:bucket/{vectorBucketName}",
        "creationTime": _CREATED,
    },
    # Secrets Manager, SNS, SQS
    "aws:secretsmanager/secret:Secret": {
        "id": "{arn}",
        "arn": "arn:{partition}:secretsmanager:{region}:{account}:secret:{name}-{lower6}",
    },
    "aws:secretsmanager/secretVersion:SecretVersion": {
        "id": "{secretId}|{versionId}",
        "versionId": "{uuid}",
        "arn": "{secretId}",
        "secretArn": "{secretId}",
        "hasSecretStringWo": False,
        "versionStages": ["AWSCURRENT"],
    },
    "aws:sns/topic:Topic": {
        "id": "{arn}",
        "arn": "arn:{partition}:sns:{region}:{account}:{name}",
        "owner": "{account}",
    },
    "aws:sns/topicPolicy:TopicPolicy": {"id": "{arn}", "owner": "{account}"},
    "aws:sns/topicSubscription:TopicSubscription": {
        "id": "{topic}:{uuid}",
        "arn": "{topic}:{uuid}",
        "ownerId": "{account}",
        "confirmationWasAuthenticated": True,
        "pendingConfirmation": False,
    },
    "aws:sqs/queue:Queue": {
        "id": "{url}",
        "url": "https://sqs.{region}.{dns_suffix}/{account}/{name}",
        "arn": "arn:{partition}:sqs:{region}:{account}:{name}",
        "visibilityTimeoutSeconds": 30,
    },
    "aws:sqs/queuePolicy:QueuePolicy": {"id": "{queueUrl}"},
    "aws:sqs/redrivePolicy:RedrivePolicy": {"id": "{queueUrl}"},
    "aws:sqs/redriveAllowPolicy:RedriveAllowPolicy": {"id": "{queueUrl}"},
    # WAF (what has an ARN of its own is a rule)
    "aws:wafv2/webAclAssociation:WebAclAssociation": {"id": "{webAclArn},{resourceArn}"},
    "aws:wafv2/webAclLoggingConfiguration:WebAclLoggingConfiguration": {"id": "{resourceArn}"},
}
