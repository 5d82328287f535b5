"""The AWS resource types that have tags in pulumi_aws 7.51: those with an input `tags` that is a map.

Written by a script that asks every class of the provider's SDK for its inputs; a type that came later is not looked at until
the table is written anew. Auto Scaling groups are not here: their `tags` are a list, each with a flag of its own.
"""

from typing import Final

# A type's token follows from its module and its name: "sqs" and "Queue" make "aws:sqs/queue:Queue".
_NAMES: Final = {
    "accessanalyzer": "Analyzer",
    "accountaccess": "Application",
    "acm": "Certificate",
    "acmpca": "CertificateAuthority",
    "agentregistry": "Registry",
    "alb": "Listener ListenerRule LoadBalancer TargetGroup",
    "amp": "AnomalyDetector RuleGroupNamespace Scraper Workspace",
    "amplify": "App Branch",
    "apigateway": "ApiKey ClientCertificate DomainName DomainNameAccessAssociation RestApi Stage UsagePlan VpcLink",
    "apigatewayv2": "Api DomainName Stage VpcLink",
    "appautoscaling": "Target",
    "appconfig": ("Application ConfigurationProfile Deployment DeploymentStrategy Environment EventIntegration Extension"),
    "appfabric": "AppAuthorization AppBundle Ingestion IngestionDestination",
    "appflow": "Flow",
    "appintegrations": "DataIntegration",
    "applicationinsights": "Application",
    "appmesh": "GatewayRoute Mesh Route VirtualGateway VirtualNode VirtualRouter VirtualService",
    "apprunner": (
        "AutoScalingConfigurationVersion Connection ObservabilityConfiguration Service VpcConnector VpcIngressConnection"
    ),
    "appstream": "Fleet ImageBuilder Stack",
    "appsync": "Api ChannelNamespace GraphQLApi",
    "arcregionswitch": "Plan",
    "athena": "CapacityReservation DataCatalog Workgroup",
    "auditmanager": "Assessment Control Framework",
    "backup": "Framework LogicallyAirGappedVault Plan ReportPlan RestoreTestingPlan Vault",
    "batch": "ComputeEnvironment JobDefinition JobQueue SchedulingPolicy",
    "bcmdata": "Export",
    "bedrock": (
        "AgentAgent AgentAgentAlias AgentFlow AgentKnowledgeBase AgentPrompt AgentcoreAgentRuntime "
        "AgentcoreAgentRuntimeEndpoint AgentcoreApiKeyCredentialProvider AgentcoreBrowser AgentcoreBrowserProfile "
        "AgentcoreCodeInterpreter AgentcoreEvaluator AgentcoreGateway AgentcoreHarness AgentcoreMemory "
        "AgentcoreOauth2CredentialProvider AgentcoreOnlineEvaluationConfig AgentcorePolicyEngine "
        "AgentcoreWorkloadIdentity CustomModel EvaluationJob Guardrail InferenceProfile ProvisionedModelThroughput"
    ),
    "billing": "View",
    "budgets": "Budget BudgetAction",
    "cfg": "AggregateAuthorization ConfigurationAggregator Rule",
    "chatbot": "SlackChannelConfiguration TeamsChannelConfiguration",
    "chime": "SdkvoiceSipMediaApplication SdkvoiceVoiceProfileDomain VoiceConnector",
    "chimesdkmediapipelines": "MediaInsightsPipelineConfiguration",
    "cleanrooms": "Collaboration ConfiguredTable Membership",
    "cloud9": "EnvironmentEC2",
    "cloudformation": "Stack StackSet",
    "cloudfront": (
        "AnycastIpList ConnectionFunction ConnectionGroup Distribution DistributionTenant Function KeyValueStore "
        "MultitenantDistribution TrustStore VpcOrigin"
    ),
    "cloudhsmv2": "Cluster",
    "cloudtrail": "EventDataStore Trail",
    "cloudwatch": (
        "AlarmMuteRule CompositeAlarm ContributorInsightRule ContributorManagedInsightRule EventBus EventRule "
        "InternetMonitor LogAnomalyDetector LogDelivery LogDeliveryDestination LogDeliverySource LogDestination "
        "LogGroup MetricAlarm MetricStream"
    ),
    "codeartifact": "Domain Repository",
    "codebuild": "Fleet Project ReportGroup",
    "codecommit": "Repository",
    "codeconnections": "Connection Host",
    "codedeploy": "Application DeploymentGroup",
    "codeguruprofiler": "ProfilingGroup",
    "codegurureviewer": "RepositoryAssociation",
    "codepipeline": "CustomActionType Pipeline Webhook",
    "codestarconnections": "Connection",
    "codestarnotifications": "NotificationRule",
    "cognito": "IdentityPool UserPool",
    "comprehend": "DocumentClassifier EntityRecognizer",
    "connect": (
        "ContactFlow ContactFlowModule HoursOfOperation Instance PhoneNumber Queue QuickConnect RoutingProfile "
        "SecurityProfile User UserHierarchyGroup Vocabulary"
    ),
    "controltower": "Baseline LandingZone",
    "costexplorer": "AnomalyMonitor AnomalySubscription CostCategory",
    "cur": "ReportDefinition",
    "customerprofiles": "Domain",
    "dataexchange": "DataSet Revision RevisionAssets",
    "datapipeline": "Pipeline",
    "datasync": (
        "Agent EfsLocation FsxOpenZfsFileSystem LocationAzureBlob LocationFsxLustre LocationFsxOntapFileSystem "
        "LocationFsxWindows LocationHdfs LocationObjectStorage LocationSmb NfsLocation S3Location Task"
    ),
    "datazone": "Domain",
    "dax": "Cluster",
    "detective": "Graph",
    "devicefarm": "DevicePool InstanceProfile NetworkProfile Project TestGridProject",
    "devopsagent": "AgentSpace",
    "directconnect": (
        "Connection Gateway HostedPrivateVirtualInterfaceAccepter HostedPublicVirtualInterfaceAccepter "
        "HostedTransitVirtualInterfaceAcceptor LinkAggregationGroup PrivateVirtualInterface PublicVirtualInterface "
        "TransitVirtualInterface"
    ),
    "directoryservice": "Directory ServiceRegion",
    "dlm": "LifecyclePolicy",
    "dms": (
        "Certificate DataProvider Endpoint EventSubscription InstanceProfile MigrationProject ReplicationConfig "
        "ReplicationInstance ReplicationSubnetGroup ReplicationTask S3Endpoint"
    ),
    "docdb": "Cluster ClusterInstance ClusterParameterGroup ElasticCluster EventSubscription SubnetGroup",
    "drs": "ReplicationConfigurationTemplate",
    "dsql": "Cluster",
    "dynamodb": "Table TableReplica",
    "ebs": "Snapshot SnapshotCopy SnapshotImport Volume VolumeCopy",
    "ec2": (
        "Ami AmiCopy AmiFromInstance CapacityBlockReservation CapacityReservation CarrierGateway CustomerGateway "
        "DedicatedHost DefaultNetworkAcl DefaultRouteTable DefaultSecurityGroup DefaultSubnet DefaultVpc "
        "DefaultVpcDhcpOptions EgressOnlyInternetGateway Eip EncryptionControl Fleet FlowLog Instance InternetGateway "
        "KeyPair LaunchTemplate LocalGatewayRouteTable LocalGatewayRouteTableVirtualInterfaceGroupAssociation "
        "LocalGatewayRouteTableVpcAssociation ManagedPrefixList NatGateway NetworkAcl NetworkInsightsAccessScope "
        "NetworkInsightsAnalysis NetworkInsightsPath NetworkInterface PlacementGroup RouteTable SecondaryNetwork "
        "SecondarySubnet SecurityGroup SpotFleetRequest SpotInstanceRequest Subnet TrafficMirrorFilter "
        "TrafficMirrorSession TrafficMirrorTarget Vpc VpcBlockPublicAccessExclusion VpcDhcpOptions VpcEncryptionControl "
        "VpcEndpoint VpcEndpointService VpcIpam VpcIpamPool VpcIpamPoolCidrAllocation VpcIpamResourceDiscovery "
        "VpcIpamResourceDiscoveryAssociation VpcIpamScope VpcPeeringConnection VpcPeeringConnectionAccepter "
        "VpnConcentrator VpnConnection VpnGateway"
    ),
    "ec2clientvpn": "Endpoint",
    "ec2transitgateway": (
        "Connect ConnectPeer InstanceConnectEndpoint MeteringPolicy MulticastDomain PeeringAttachment "
        "PeeringAttachmentAccepter PolicyTable RouteTable TransitGateway VpcAttachment VpcAttachmentAccepter"
    ),
    "ecr": "Repository",
    "ecrpublic": "Repository",
    "ecs": ("CapacityProvider Cluster Daemon DaemonTaskDefinition ExpressGatewayService Service TaskDefinition TaskSet"),
    "efs": "AccessPoint FileSystem",
    "eks": ("AccessEntry Addon Capability Cluster FargateProfile IdentityProviderConfig NodeGroup PodIdentityAssociation"),
    "elasticache": "Cluster ParameterGroup ReplicationGroup ReservedCacheNode ServerlessCache SubnetGroup User UserGroup",
    "elasticbeanstalk": "Application ApplicationVersion Environment",
    "elasticsearch": "Domain",
    "elb": "LoadBalancer",
    "emr": "Cluster Studio",
    "emrcontainers": "JobTemplate VirtualCluster",
    "emrserverless": "Application",
    "evidently": "Feature Launch Project Segment",
    "finspace": "KxCluster KxDatabase KxDataview KxEnvironment KxScalingGroup KxUser KxVolume",
    "fis": "ExperimentTemplate",
    "fms": "Policy ResourceSet",
    "fsx": (
        "Backup DataRepositoryAssociation FileCache LustreFileSystem OntapFileSystem OntapStorageVirtualMachine "
        "OntapVolume OpenZfsFileSystem OpenZfsSnapshot OpenZfsVolume WindowsFileSystem"
    ),
    "gamelift": "Alias Build Fleet GameServerGroup GameSessionQueue Script",
    "glacier": "Vault",
    "globalaccelerator": "Accelerator CrossAccountAttachment CustomRoutingAccelerator",
    "glue": (
        "Catalog CatalogDatabase Connection Crawler DataQualityRuleset DevEndpoint Job MLTransform Registry Schema "
        "Trigger Workflow"
    ),
    "grafana": "Workspace",
    "guardduty": "Detector Filter IPSet MalwareProtectionPlan PublishingDestination ThreatIntelSet",
    "iam": (
        "InstanceProfile OpenIdConnectProvider Policy Role SamlProvider ServerCertificate ServiceLinkedRole User "
        "VirtualMfaDevice"
    ),
    "imagebuilder": (
        "Component ContainerRecipe DistributionConfiguration Image ImagePipeline ImageRecipe "
        "InfrastructureConfiguration LifecyclePolicy Workflow"
    ),
    "inspector": "AssessmentTemplate ResourceGroup",
    "inspector2": "Filter",
    "invoicing": "InvoiceUnit",
    "iot": (
        "Authorizer BillingGroup CaCertificate DomainConfiguration Policy ProvisioningTemplate RoleAlias ThingGroup "
        "ThingType TopicRule"
    ),
    "ivs": "Channel PlaybackKeyPair RecordingConfiguration",
    "ivschat": "LoggingConfiguration Room",
    "kendra": "DataSource Faq Index QuerySuggestionsBlockList Thesaurus",
    "keyspaces": "Keyspace Table",
    "kinesis": "AnalyticsApplication FirehoseDeliveryStream Stream StreamConsumer VideoStream",
    "kinesisanalyticsv2": "Application",
    "kms": "ExternalKey Key ReplicaExternalKey ReplicaKey",
    "lambda": "CapacityProvider CodeSigningConfig EventSourceMapping Function MicrovmsImage",
    "lambdamicrovms": "Image",
    "lb": "Listener ListenerRule LoadBalancer TargetGroup TrustStore",
    "lex": "V2modelsBot",
    "licensemanager": "LicenseConfiguration",
    "lightsail": "Bucket Certificate ContainerService Database Disk Distribution Instance KeyPair Lb",
    "location": "GeofenceCollection Map PlaceIndex RouteCalculation Tracker",
    "m2": "Application Environment",
    "macie": "CustomDataIdentifier FindingsFilter",
    "macie2": "ClassificationJob Member",
    "mailmanager": "Archive IngressPoint Relay RuleSet TrafficPolicy",
    "mediaconvert": "Queue",
    "medialive": "Channel Input InputSecurityGroup Multiplex",
    "mediapackage": "Channel",
    "mediapackagev2": "ChannelGroup",
    "mediastore": "Container",
    "memorydb": "Acl Cluster MultiRegionCluster ParameterGroup Snapshot SubnetGroup User",
    "mq": "Broker Configuration",
    "msk": "Channel Cluster Replicator ServerlessCluster VpcConnection",
    "mskconnect": "Connector CustomPlugin WorkerConfiguration",
    "mwaa": "Environment",
    "neptune": ("Cluster ClusterEndpoint ClusterInstance ClusterParameterGroup EventSubscription ParameterGroup SubnetGroup"),
    "neptunegraph": "Graph",
    "networkfirewall": (
        "ContainerAssociation Firewall FirewallPolicy RuleGroup TlsInspectionConfiguration VpcEndpointAssociation"
    ),
    "networkflowmonitor": "Monitor Scope",
    "networkmanager": (
        "ConnectAttachment ConnectPeer Connection CoreNetwork Device DxGatewayAttachment GlobalNetwork Link Site "
        "SiteToSiteVpnAttachment TransitGatewayPeering TransitGatewayRouteTableAttachment VpcAttachment"
    ),
    "networkmonitor": "Monitor Probe",
    "notifications": "ContactsEmailContact NotificationConfiguration",
    "oam": "Link Sink",
    "observabilityadmin": (
        "CentralizationRuleForOrganization S3TableIntegration TelemetryPipeline TelemetryRule TelemetryRuleForOrganization"
    ),
    "odb": (
        "AutonomousDatabase CloudAutonomousVmCluster CloudExadataInfrastructure CloudVmCluster Network NetworkPeeringConnection"
    ),
    "opensearch": "Application Domain ServerlessCollection ServerlessCollectionGroup",
    "opensearchingest": "Pipeline",
    "organizations": "Account OrganizationalUnit Policy ResourcePolicy",
    "paymentcryptography": "Key",
    "pinpoint": (
        "App EmailTemplate Smsvoicev2ConfigurationSet Smsvoicev2OptOutList Smsvoicev2PhoneNumber Smsvoicev2Pool "
        "Smsvoicev2SenderId"
    ),
    "pipes": "Pipe",
    "qbusiness": "Application",
    "qldb": "Ledger Stream",
    "quicksight": ("Analysis CustomPermissions Dashboard DataSet DataSource Folder Namespace Template Theme VpcConnection"),
    "ram": "Permission ResourceShare",
    "rbin": "Rule",
    "rds": (
        "Cluster ClusterEndpoint ClusterInstance ClusterParameterGroup ClusterSnapshot ClusterSnapshotCopy "
        "CustomDbEngineVersion EventSubscription GlobalCluster Instance Integration OptionGroup ParameterGroup Proxy "
        "ProxyEndpoint ReservedInstance ShardGroup Snapshot SnapshotCopy SubnetGroup"
    ),
    "redshift": (
        "Cluster ClusterSnapshot EventSubscription HsmClientCertificate HsmConfiguration IdcApplication Integration "
        "ParameterGroup SnapshotCopyGrant SnapshotSchedule SubnetGroup UsageLimit"
    ),
    "redshiftserverless": "Namespace Workgroup",
    "rekognition": "Collection Project StreamProcessor",
    "resiliencehub": "ResiliencyPolicy V2Policy V2Service V2System",
    "resourceexplorer": "Index View",
    "resourcegroups": "Group",
    "rolesanywhere": "Profile TrustAnchor",
    "route53": (
        "HealthCheck ProfilesAssociation ProfilesProfile ResolverEndpoint ResolverFirewallDomainList "
        "ResolverFirewallRuleGroup ResolverFirewallRuleGroupAssociation ResolverQueryLogConfig ResolverRule Zone"
    ),
    "route53domains": "Domain RegisteredDomain",
    "route53recoverycontrol": "Cluster ControlPanel SafetyRule",
    "route53recoveryreadiness": "Cell ReadinessCheck RecoveryGroup ResourceSet",
    "rum": "AppMonitor",
    "s3": (
        "AccessPoint Bucket BucketObject BucketObjectv2 BucketV2 DirectoryBucket FilesAccessPoint FilesFileSystem "
        "ObjectCopy VectorsIndex VectorsVectorBucket"
    ),
    "s3control": "AccessGrant AccessGrantsInstance AccessGrantsLocation Bucket StorageLensConfiguration",
    "s3tables": "Table TableBucket",
    "sagemaker": (
        "Algorithm App AppImageConfig CodeRepository DataQualityJobDefinition DeviceFleet Domain Endpoint "
        "EndpointConfiguration FeatureGroup FlowDefinition Hub HubContentReference HumanTaskUI HyperParameterTuningJob "
        "Image LabelingJob MlflowApp MlflowTrackingServer Model ModelCard ModelPackageGroup MonitoringSchedule "
        "NotebookInstance NotebookInstanceLifecycleConfiguration Pipeline Project Space StudioLifecycleConfig "
        "TrainingJob UserProfile Workteam"
    ),
    "savingsplans": "SavingsPlan",
    "scheduler": "ScheduleGroup",
    "schemas": "Discoverer Registry Schema",
    "secretsmanager": "Secret",
    "securityhub": "AccountV2 AggregatorV2 AutomationRule AutomationRuleV2 ConnectorV2",
    "securitylake": "DataLake Subscriber",
    "serverlessrepository": "CloudFormationStack",
    "servicecatalog": "AppregistryApplication AppregistryAttributeGroup Portfolio Product ProvisionedProduct",
    "servicediscovery": "HttpNamespace PrivateDnsNamespace PublicDnsNamespace Service",
    "sesv2": "ConfigurationSet ContactList DedicatedIpPool EmailIdentity MultiRegionEndpoint Tenant",
    "sfn": "Activity StateMachine",
    "shield": "Protection ProtectionGroup",
    "signer": "SigningProfile",
    "sns": "Topic",
    "sqs": "Queue",
    "ssm": (
        "Activation Association ContactsRotation Document MaintenanceWindow Parameter PatchBaseline "
        "QuicksetupConfigurationManager"
    ),
    "ssmcontacts": "Contact",
    "ssmincidents": "ReplicationSet ResponsePlan",
    "ssoadmin": "Application PermissionSet TrustedTokenIssuer",
    "storagegateway": "CachesIscsiVolume FileSystemAssociation Gateway NfsFileShare SmbFileShare StoredIscsiVolume TapePool",
    "swf": "Domain",
    "synthetics": "Canary Group",
    "timestreaminfluxdb": "DbCluster DbInstance",
    "timestreamquery": "ScheduledQuery",
    "timestreamwrite": "Database Table",
    "transcribe": "LanguageModel MedicalVocabulary Vocabulary VocabularyFilter",
    "transfer": "Agreement Certificate Connector HostKey Profile Server User WebApp Workflow",
    "verifiedaccess": "Endpoint Group Instance TrustProvider",
    "verifiedpermissions": "PolicyStore",
    "vpc": "RouteServer RouteServerEndpoint RouteServerPeer SecurityGroupEgressRule SecurityGroupIngressRule",
    "vpclattice": (
        "AccessLogSubscription DomainVerification Listener ListenerRule ResourceConfiguration ResourceGateway Service "
        "ServiceNetwork ServiceNetworkResourceAssociation ServiceNetworkServiceAssociation ServiceNetworkVpcAssociation "
        "TargetGroup"
    ),
    "waf": "RateBasedRule Rule RuleGroup WebAcl",
    "wafregional": "RateBasedRule Rule RuleGroup WebAcl",
    "wafv2": "IpSet RegexPatternSet RuleGroup WebAcl",
    "workmail": "Organization",
    "workspaces": "ConnectionAlias Directory IpGroup Pool Workspace",
    "workspacesweb": (
        "BrowserSettings DataProtectionSettings IdentityProvider IpAccessSettings NetworkSettings Portal SessionLogger "
        "TrustStore UserAccessLoggingSettings UserSettings"
    ),
    "xray": "Group SamplingRule",
}

TAGGABLE: Final = frozenset(
    f"aws:{module}/{name[0].lower()}{name[1:]}:{name}" for module, names in _NAMES.items() for name in names.split()
)
