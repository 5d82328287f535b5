"""The table of properties whose change replaces an AWS resource, or an object in a Kubernetes cluster.

Found by asking HashiCorp's AWS provider 5.100.0 itself to plan a change of each property of each type (the answer's
`requires_replace`), the conditions in its code included. The comments name what comes from elsewhere: from the source
of provider 6, which is the one in the SDK, or from CloudFormation's documentation ("Update requires: Replacement").

A path stands for all below it. A block that replaces when it comes or when it goes, with no property in it that does
so, is listed whole. A plain value that replaces only when it is first set or taken away is not listed.
`region`, which replaces every resource that has it, is left to `replacement`.
"""

from collections.abc import Mapping
from typing import Final


def _paths(text: str) -> frozenset[str]:
    return frozenset(text.split())


REPLACED_BY: Final[Mapping[str, frozenset[str]]] = {
    # Certificates
    "aws:acm/certificate:Certificate": _paths(
        "certificateAuthorityArn domainName keyAlgorithm subjectAlternativeNames validationMethod validationOptions"
    ),
    "aws:acm/certificateValidation:CertificateValidation": _paths("certificateArn validationRecordFqdns"),
    # API Gateway: REST APIs
    "aws:apigateway/account:Account": frozenset(),
    "aws:apigateway/apiKey:ApiKey": _paths("value"),
    "aws:apigateway/authorizer:Authorizer": _paths("restApi"),
    "aws:apigateway/basePathMapping:BasePathMapping": _paths("domainName"),
    # A new deployment is how a changed API gets out; `triggers` is there to force it.
    "aws:apigateway/deployment:Deployment": _paths("restApi triggers variables"),
    "aws:apigateway/domainName:DomainName": _paths("certificateBody certificateChain certificatePrivateKey domainName"),
    "aws:apigateway/integration:Integration": _paths(
        "credentials httpMethod integrationHttpMethod passthroughBehavior resourceId restApi type"
    ),
    "aws:apigateway/integrationResponse:IntegrationResponse": _paths("httpMethod resourceId restApi"),
    "aws:apigateway/method:Method": _paths("httpMethod resourceId restApi"),
    "aws:apigateway/methodResponse:MethodResponse": _paths("httpMethod resourceId restApi"),
    "aws:apigateway/methodSettings:MethodSettings": _paths("methodPath restApi stageName"),
    "aws:apigateway/model:Model": _paths("contentType name restApi"),
    "aws:apigateway/requestValidator:RequestValidator": _paths("restApi"),
    "aws:apigateway/resource:Resource": _paths("restApi"),
    "aws:apigateway/response:Response": _paths("responseType restApiId"),
    "aws:apigateway/restApi:RestApi": frozenset(),
    "aws:apigateway/restApiPolicy:RestApiPolicy": _paths("restApiId"),
    "aws:apigateway/stage:Stage": _paths("restApi stageName"),
    "aws:apigateway/usagePlan:UsagePlan": frozenset(),
    "aws:apigateway/usagePlanKey:UsagePlanKey": _paths("keyId keyType usagePlanId"),
    "aws:apigateway/vpcLink:VpcLink": _paths("targetArn"),
    # API Gateway: WebSocket and HTTP APIs
    "aws:apigatewayv2/api:Api": _paths("credentialsArn protocolType routeKey target"),
    "aws:apigatewayv2/apiMapping:ApiMapping": _paths("apiId domainName"),
    "aws:apigatewayv2/authorizer:Authorizer": _paths("apiId"),
    "aws:apigatewayv2/deployment:Deployment": _paths("apiId triggers"),
    "aws:apigatewayv2/domainName:DomainName": _paths("domainName"),
    "aws:apigatewayv2/integration:Integration": _paths("apiId integrationSubtype integrationType"),
    "aws:apigatewayv2/integrationResponse:IntegrationResponse": _paths("apiId integrationId"),
    "aws:apigatewayv2/route:Route": _paths("apiId"),
    "aws:apigatewayv2/routeResponse:RouteResponse": _paths("apiId routeId"),
    "aws:apigatewayv2/stage:Stage": _paths("apiId name"),
    # Bedrock
    # A guardrail and its versions: their source. crossRegionConfig is newer; by CloudFormation it is updated in place.
    "aws:bedrock/guardrail:Guardrail": frozenset(),
    "aws:bedrock/guardrailVersion:GuardrailVersion": _paths("description guardrailArn"),
    "aws:bedrock/inferenceProfile:InferenceProfile": _paths("description modelSource name"),
    "aws:bedrockmodel/invocationLoggingConfiguration:InvocationLoggingConfiguration": frozenset(),
    # CloudFront
    "aws:cloudfront/cachePolicy:CachePolicy": frozenset(),
    "aws:cloudfront/distribution:Distribution": _paths("staging"),
    "aws:cloudfront/function:Function": _paths("name"),
    "aws:cloudfront/keyGroup:KeyGroup": frozenset(),
    "aws:cloudfront/keyValueStore:KeyValueStore": _paths("name"),
    "aws:cloudfront/originAccessControl:OriginAccessControl": frozenset(),
    "aws:cloudfront/originRequestPolicy:OriginRequestPolicy": frozenset(),
    "aws:cloudfront/publicKey:PublicKey": _paths("encodedKey name namePrefix"),
    "aws:cloudfront/responseHeadersPolicy:ResponseHeadersPolicy": frozenset(),
    # CloudWatch, EventBridge
    "aws:cloudwatch/compositeAlarm:CompositeAlarm": _paths("actionsEnabled alarmName"),
    "aws:cloudwatch/dashboard:Dashboard": _paths("dashboardName"),
    "aws:cloudwatch/eventRule:EventRule": _paths("eventBusName name namePrefix"),
    "aws:cloudwatch/eventTarget:EventTarget": _paths("eventBusName rule targetId"),
    "aws:cloudwatch/logGroup:LogGroup": _paths("logGroupClass name namePrefix"),
    "aws:cloudwatch/logMetricFilter:LogMetricFilter": _paths("logGroupName name"),
    # resourceArn: the source of provider 6.
    "aws:cloudwatch/logResourcePolicy:LogResourcePolicy": _paths("policyName resourceArn"),
    "aws:cloudwatch/metricAlarm:MetricAlarm": _paths("name"),
    # Cognito
    "aws:cognito/resourceServer:ResourceServer": _paths("identifier name userPoolId"),
    "aws:cognito/userPool:UserPool": _paths("aliasAttributes name usernameAttributes usernameConfiguration.caseSensitive"),
    "aws:cognito/userPoolClient:UserPoolClient": _paths("generateSecret userPoolId"),
    "aws:cognito/userPoolDomain:UserPoolDomain": _paths("domain userPoolId"),
    # DynamoDB
    # restoreBackupArn is newer than 5.100: listed as its siblings are.
    "aws:dynamodb/table:Table": _paths(
        "hashKey importTable localSecondaryIndexes name rangeKey restoreBackupArn restoreDateTime "
        "restoreSourceName restoreSourceTableArn restoreToLatestTime"
    ),
    "aws:dynamodb/tableItem:TableItem": _paths("hashKey rangeKey tableName"),
    # EC2
    "aws:ec2/eip:Eip": _paths("address domain ipamPoolId networkBorderGroup publicIpv4Pool"),
    # A flow log can only be replaced; regionalNatGatewayId and tagFieldSpecifications: CloudFormation.
    "aws:ec2/flowLog:FlowLog": _paths(
        "deliverCrossAccountRole destinationOptions eniId iamRoleArn logDestination logDestinationType "
        "logFormat maxAggregationInterval regionalNatGatewayId subnetId tagFieldSpecifications trafficType "
        "transitGatewayAttachmentId transitGatewayId vpcId"
    ),
    "aws:ec2/internetGateway:InternetGateway": frozenset(),
    "aws:ec2/launchTemplate:LaunchTemplate": _paths("name namePrefix"),
    # availabilityMode and vpcId: the source of provider 6.
    "aws:ec2/natGateway:NatGateway": _paths("allocationId availabilityMode connectivityType privateIp subnetId vpcId"),
    "aws:ec2/route:Route": _paths("destinationCidrBlock destinationIpv6CidrBlock destinationPrefixListId routeTableId"),
    "aws:ec2/routeTable:RouteTable": _paths("vpcId"),
    "aws:ec2/routeTableAssociation:RouteTableAssociation": _paths("gatewayId subnetId"),
    "aws:ec2/securityGroup:SecurityGroup": _paths("description name namePrefix vpcId"),
    "aws:ec2/securityGroupRule:SecurityGroupRule": _paths(
        "cidrBlocks fromPort ipv6CidrBlocks prefixListIds protocol securityGroupId self sourceSecurityGroupId toPort type"
    ),
    "aws:ec2/subnet:Subnet": _paths("availabilityZone availabilityZoneId cidrBlock ipv6Native outpostArn vpcId"),
    "aws:ec2/vpc:Vpc": _paths("cidrBlock instanceTenancy ipv4IpamPoolId ipv4NetmaskLength"),
    "aws:ec2/vpcEndpoint:VpcEndpoint": _paths(
        "resourceConfigurationArn serviceName serviceNetworkArn serviceRegion vpcEndpointType vpcId"
    ),
    # ECR
    "aws:ecr/lifecyclePolicy:LifecyclePolicy": _paths("repository"),
    "aws:ecr/repository:Repository": _paths("encryptionConfigurations name"),
    # EFS
    "aws:efs/accessPoint:AccessPoint": _paths(
        "fileSystemId posixUser rootDirectory.creationInfo.ownerGid rootDirectory.creationInfo.ownerUid "
        "rootDirectory.creationInfo.permissions rootDirectory.path"
    ),
    "aws:efs/fileSystem:FileSystem": _paths("availabilityZoneName creationToken encrypted kmsKeyId performanceMode"),
    "aws:efs/mountTarget:MountTarget": _paths("fileSystemId ipAddress subnetId"),
    # EKS
    "aws:eks/accessEntry:AccessEntry": _paths("clusterName principalArn type"),
    "aws:eks/accessPolicyAssociation:AccessPolicyAssociation": _paths("accessScope clusterName policyArn principalArn"),
    "aws:eks/addon:Addon": _paths("addonName clusterName"),
    # Encryption can be added in place, never taken away; the subnets can be changed in place.
    "aws:eks/cluster:Cluster": _paths(
        "accessConfig.bootstrapClusterCreatorAdminPermissions bootstrapSelfManagedAddons "
        "computeConfig.nodeRoleArn encryptionConfig kubernetesNetworkConfig.ipFamily "
        "kubernetesNetworkConfig.serviceIpv4Cidr name outpostConfig remoteNetworkConfig roleArn"
    ),
    "aws:eks/nodeGroup:NodeGroup": _paths(
        "amiType capacityType clusterName diskSize instanceTypes launchTemplate.id launchTemplate.name "
        "nodeGroupName nodeGroupNamePrefix nodeRoleArn remoteAccess subnetIds"
    ),
    "aws:eks/podIdentityAssociation:PodIdentityAssociation": _paths("clusterName namespace serviceAccount"),
    # IAM
    "aws:iam/group:Group": frozenset(),
    "aws:iam/instanceProfile:InstanceProfile": _paths("name namePrefix path"),
    "aws:iam/openIdConnectProvider:OpenIdConnectProvider": _paths("url"),
    "aws:iam/policy:Policy": _paths("description name namePrefix path"),
    "aws:iam/role:Role": _paths("name namePrefix path"),
    "aws:iam/rolePolicy:RolePolicy": _paths("name namePrefix role"),
    "aws:iam/rolePolicyAttachment:RolePolicyAttachment": _paths("policyArn role"),
    "aws:iam/user:User": frozenset(),
    # KMS
    "aws:kms/alias:Alias": _paths("name namePrefix"),
    "aws:kms/key:Key": _paths("customKeyStoreId customerMasterKeySpec keyUsage multiRegion xksKeyId"),
    # Lambda
    "aws:lambda/alias:Alias": _paths("functionName name"),
    "aws:lambda/eventSourceMapping:EventSourceMapping": _paths(
        "amazonManagedKafkaEventSourceConfig.consumerGroupId eventSourceArn queues selfManagedEventSource "
        "selfManagedKafkaEventSourceConfig.consumerGroupId startingPosition startingPositionTimestamp topics"
    ),
    # durableConfig (only when it comes or goes) and tenancyConfig: the source of provider 6.
    "aws:lambda/function:Function": _paths("durableConfig name packageType tenancyConfig"),
    "aws:lambda/functionEventInvokeConfig:FunctionEventInvokeConfig": _paths("functionName qualifier"),
    "aws:lambda/functionUrl:FunctionUrl": _paths("functionName qualifier"),
    "aws:lambda/layerVersion:LayerVersion": _paths(
        "code compatibleArchitectures compatibleRuntimes description layerName licenseInfo s3Bucket s3Key "
        "s3ObjectVersion skipDestroy sourceCodeHash"
    ),
    # invokedViaFunctionUrl: the source of provider 6.
    "aws:lambda/permission:Permission": _paths(
        "action eventSourceToken function functionUrlAuthType invokedViaFunctionUrl principal principalOrgId "
        "qualifier sourceAccount sourceArn statementId statementIdPrefix"
    ),
    "aws:lambda/provisionedConcurrencyConfig:ProvisionedConcurrencyConfig": _paths("functionName qualifier"),
    # Load balancers
    "aws:lb/listener:Listener": _paths("loadBalancerArn"),
    "aws:lb/loadBalancer:LoadBalancer": _paths("customerOwnedIpv4Pool internal loadBalancerType name namePrefix"),
    "aws:lb/targetGroup:TargetGroup": _paths("ipAddressType name namePrefix port protocol targetType vpcId"),
    # Route 53
    "aws:route53/record:Record": _paths("name zoneId"),
    "aws:route53/zone:Zone": _paths("delegationSetId name"),
    # S3
    # bucketNamespace is newer than 5.100: S3 takes it with CreateBucket alone.
    "aws:s3/bucket:Bucket": _paths(
        "bucket bucketNamespace bucketPrefix objectLockConfiguration.objectLockEnabled objectLockEnabled"
    ),
    "aws:s3/bucketAcl:BucketAcl": _paths("bucket expectedBucketOwner"),
    "aws:s3/bucketCorsConfiguration:BucketCorsConfiguration": _paths("bucket expectedBucketOwner"),
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": _paths("bucket expectedBucketOwner"),
    "aws:s3/bucketLogging:BucketLogging": _paths("bucket expectedBucketOwner"),
    "aws:s3/bucketNotification:BucketNotification": _paths("bucket"),
    "aws:s3/bucketObject:BucketObject": _paths("bucket key"),
    "aws:s3/bucketObjectv2:BucketObjectv2": _paths("bucket key"),
    "aws:s3/bucketOwnershipControls:BucketOwnershipControls": _paths("bucket"),
    "aws:s3/bucketPolicy:BucketPolicy": _paths("bucket"),
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": _paths("bucket"),
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": _paths(
        "bucket expectedBucketOwner"
    ),
    "aws:s3/bucketV2:BucketV2": _paths(
        "bucket bucketNamespace bucketPrefix objectLockConfiguration.objectLockEnabled objectLockEnabled"
    ),
    "aws:s3/bucketVersioning:BucketVersioning": _paths("bucket expectedBucketOwner"),
    "aws:s3/bucketWebsiteConfiguration:BucketWebsiteConfiguration": _paths("bucket expectedBucketOwner"),
    # S3 Vectors: the source of provider 6 and CloudFormation.
    "aws:s3/vectorsIndex:VectorsIndex": _paths(
        "dataType dimension distanceMetric encryptionConfigurations indexName metadataConfiguration vectorBucketName"
    ),
    "aws:s3/vectorsVectorBucket:VectorsVectorBucket": _paths("encryptionConfigurations vectorBucketName"),
    # Secrets Manager
    "aws:secretsmanager/secret:Secret": _paths("name namePrefix"),
    "aws:secretsmanager/secretVersion:SecretVersion": _paths("secretBinary secretId secretString secretStringWoVersion"),
    # SNS, SQS
    "aws:sns/topic:Topic": _paths("fifoTopic name namePrefix"),
    "aws:sns/topicPolicy:TopicPolicy": _paths("arn"),
    "aws:sns/topicSubscription:TopicSubscription": _paths("endpoint protocol topic"),
    "aws:sqs/queue:Queue": _paths("fifoQueue name namePrefix"),
    "aws:sqs/queuePolicy:QueuePolicy": _paths("queueUrl"),
    "aws:sqs/redriveAllowPolicy:RedriveAllowPolicy": _paths("queueUrl"),
    "aws:sqs/redrivePolicy:RedrivePolicy": _paths("queueUrl"),
    # SSM
    "aws:ssm/parameter:Parameter": _paths("dataType name"),
    # VPC security groups
    # Another value of a source is updated in place; another kind of source (cidrIpv4 to prefixListId) replaces.
    "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule": _paths("securityGroupId"),
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": _paths("securityGroupId"),
    # WAF
    "aws:wafv2/ipSet:IpSet": _paths("ipAddressVersion name namePrefix scope"),
    "aws:wafv2/regexPatternSet:RegexPatternSet": _paths("name namePrefix scope"),
    "aws:wafv2/ruleGroup:RuleGroup": _paths("capacity name namePrefix scope"),
    "aws:wafv2/webAcl:WebAcl": _paths("name namePrefix scope"),
    "aws:wafv2/webAclAssociation:WebAclAssociation": _paths("resourceArn webAclArn"),
    "aws:wafv2/webAclLoggingConfiguration:WebAclLoggingConfiguration": _paths("logDestinationConfigs resourceArn"),
}
"""The paths of each type, in the SDK's camelCase and without the indices of lists; a type that nothing replaces has none."""

_CONTAINER: Final = (
    "args command env image imagePullPolicy lifecycle livenessProbe ports readinessProbe resources securityContext stdin "
    "stdinOnce terminationMessagePath terminationMessagePolicy tty volumeDevices volumeMounts workingDir"
)

# pulumi-kubernetes 4, provider/pkg/provider/diff.go.
KUBERNETES_REPLACED_BY: Final[Mapping[str, frozenset[str]]] = {
    "apps/v1:DaemonSet": _paths("spec.selector"),
    "apps/v1:Deployment": _paths("spec.selector"),
    "apps/v1:StatefulSet": _paths(
        "spec.podManagementPolicy spec.revisionHistoryLimit spec.selector spec.serviceName spec.volumeClaimTemplates"
    ),
    "batch/v1:Job": _paths("spec.completions spec.parallelism spec.selector spec.template"),
    # Unless the provider's enableConfigMapMutable and enableSecretMutable say otherwise, which we don't set.
    "core/v1:ConfigMap": _paths("binaryData data"),
    "core/v1:Secret": _paths("data stringData type"),
    "core/v1:PersistentVolume": _paths(
        "spec.awsElasticBlockStore spec.azureDisk spec.azureFile spec.cephfs spec.cinder spec.csi spec.fc spec.flexVolume "
        "spec.flocker spec.gcePersistentDisk spec.glusterfs spec.hostPath spec.iscsi spec.local spec.nfs "
        "spec.photonPersistentDisk spec.portworxVolume spec.quobyte spec.rbd spec.scaleIO spec.storageos spec.vsphereVolume"
    ),
    # A claim can grow: not `spec.resources`.
    "core/v1:PersistentVolumeClaim": _paths("spec.accessModes spec.selector spec.storageClassName spec.volumeName"),
    "core/v1:Pod": _paths(
        "spec.affinity spec.automountServiceAccountToken spec.dnsConfig spec.dnsPolicy spec.enableServiceLinks "
        "spec.hostAliases spec.hostIPC spec.hostNetwork spec.hostPID spec.hostname spec.imagePullSecrets spec.nodeName "
        "spec.nodeSelector spec.overhead spec.preemptionPolicy spec.priority spec.priorityClassName spec.readinessGates "
        "spec.restartPolicy spec.runtimeClassName spec.schedulerName spec.securityContext spec.serviceAccount "
        "spec.serviceAccountName spec.shareProcessNamespace spec.subdomain spec.terminationGracePeriodSeconds spec.volumes"
    )
    | {f"spec.{kind}.{field}" for kind in ("containers", "initContainers") for field in _CONTAINER.split()},
    "core/v1:ResourceQuota": _paths("spec.scopes"),
    "core/v1:Service": _paths("spec.clusterIP"),
    # A Helm release has its name and namespace at the top; helm_release.go.
    "helm.sh/v3:Release": _paths("name namespace"),
    "rbac.authorization.k8s.io/v1:ClusterRoleBinding": _paths("roleRef"),
    "rbac.authorization.k8s.io/v1:RoleBinding": _paths("roleRef"),
    "storage.k8s.io/v1:StorageClass": _paths("parameters provisioner"),
}
"""The paths of each kind beside `metadata.name` and `metadata.namespace`, which replace an object of any kind."""
