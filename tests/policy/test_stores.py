"""The rules on databases, caches, streams and search."""

from typing import Any

from llm_policies.rule import Resource
from llm_policies.stores import RULES
from llm_policies.testing import UNKNOWN, resource
from support.policies import counted_cases

TYPES = {
    "db": "aws:rds/instance:Instance",
    "aurora": "aws:rds/cluster:Cluster",
    "aurora-instance": "aws:rds/clusterInstance:ClusterInstance",
    "parameters": "aws:rds/parameterGroup:ParameterGroup",
    "proxy": "aws:rds/proxy:Proxy",
    "documents": "aws:docdb/cluster:Cluster",
    "documents-parameters": "aws:docdb/clusterParameterGroup:ClusterParameterGroup",
    "graph": "aws:neptune/cluster:Cluster",
    "warehouse": "aws:redshift/cluster:Cluster",
    "workgroup": "aws:redshiftserverless/workgroup:Workgroup",
    "stream": "aws:kinesis/stream:Stream",
    "firehose": "aws:kinesis/firehoseDeliveryStream:FirehoseDeliveryStream",
    "cache": "aws:elasticache/replicationGroup:ReplicationGroup",
    "cache-node": "aws:elasticache/cluster:Cluster",
    "cache-serverless": "aws:elasticache/serverlessCache:ServerlessCache",
    "cache-user": "aws:elasticache/user:User",
    "memorydb": "aws:memorydb/cluster:Cluster",
    "search": "aws:opensearch/domain:Domain",
    "old-search": "aws:elasticsearch/domain:Domain",
    "kafka": "aws:msk/cluster:Cluster",
    "migration": "aws:dms/endpoint:Endpoint",
    "dax": "aws:dax/cluster:Cluster",
    "task": "aws:ecs/taskDefinition:TaskDefinition",
    "subscription": "aws:sns/topicSubscription:TopicSubscription",
    "broker": "aws:mq/broker:Broker",
}
HTTPS = {"domainEndpointOptions": {"enforceHttps": True}, "nodeToNodeEncryption": {"enabled": True}}


def a(kind: str, **properties: Any) -> list[Resource]:
    return [resource(TYPES[kind], properties)]


def parameter(name: str, value: str, kind: str = "parameters") -> list[Resource]:
    return a(kind, parameters=[{"name": name, "value": value}])


def kafka(**login: Any) -> list[Resource]:
    return a("kafka", clientAuthentication=login)


def transit(**how: Any) -> list[Resource]:
    return a("kafka", encryptionInfo={"encryptionInTransit": how})


def files(**how: Any) -> list[Resource]:
    return a("task", volumes=[{"name": "host"}, {"efsVolumeConfiguration": {"fileSystemId": "fs-1", **how}}])


TABLE: dict[str, list[tuple[Any, ...]]] = {
    "database-encrypted": [
        ("a database", a("db", engine="postgres", storageEncrypted=True), "good", 0),
        ("a copy", a("db", replicateSourceDb="chat"), "good", 0),
        ("of a snapshot", a("aurora", engine="mysql", snapshotIdentifier="chat-1"), "good", 0),
        ("an instance of Aurora", a("db", engine="aurora-postgresql"), "good", 0),
        ("Aurora, which AWS encrypts", a("aurora", engine="aurora-postgresql"), "good", 0),
        ("Valkey, which AWS encrypts", a("cache", engine="valkey"), "good", 0),
        ("Redshift, which AWS encrypts", a("warehouse"), "good", 0),
        ("a stream", a("stream", encryptionType="KMS"), "good", 0),
        ("a delivery from a stream", a("firehose", kinesisSourceConfiguration={"kinesisStreamArn": UNKNOWN}), "good", 0),
        ("search", a("search", encryptAtRest={"enabled": True}), "good", 0),
        ("a database that says nothing", a("db", engine="postgres"), "bad", 1),
        ("a database that says no", a("db", engine="postgres", storageEncrypted=False, snapshotIdentifier="s"), "bad", 1),
        ("a cluster of databases", a("aurora", engine="mysql"), "bad", 1),
        ("Aurora that says no", a("aurora", engine="aurora-mysql", storageEncrypted=False), "bad", 1),
        ("documents", a("documents"), "bad", 1),
        ("a graph", a("graph", storageEncrypted=False), "bad", 1),
        ("Redshift that says no", a("warehouse", encrypted="false"), "bad", 1),
        ("Redis", a("cache", engine="redis"), "bad", 1),
        ("a cache by default", a("cache"), "bad", 1),
        ("Valkey that says no", a("cache", engine="valkey", atRestEncryptionEnabled=False), "bad", 1),
        ("a stream by default", a("stream"), "bad", 1),
        ("a delivery by default", a("firehose"), "bad", 1),
        ("a delivery that is switched off", a("firehose", serverSideEncryption={"enabled": False}), "bad", 1),
        ("search by default", a("search"), "bad", 1),
        ("search of old", a("old-search", encryptAtRest={"enabled": False}), "bad", 1),
        ("DAX", a("dax"), "bad", 1),
        ("unknown", a("db", engine="postgres", storageEncrypted=UNKNOWN), "unknown", 0),
    ],
    "database-tls": [
        ("a cache", a("cache", transitEncryptionEnabled=True, transitEncryptionMode="required"), "good", 0),
        ("a node of a group", a("cache-node", replicationGroupId="chat"), "good", 0),
        ("MemoryDB by default", a("memorydb"), "good", 0),
        ("search", a("search", **HTTPS), "good", 0),
        ("Kafka by default", a("kafka"), "good", 0),
        ("a proxy", a("proxy", requireTls=True), "good", 0),
        ("parameters", parameter("rds.force_ssl", "1"), "good", 0),
        ("files", files(transitEncryption="ENABLED"), "good", 0),
        ("a subscription", a("subscription", protocol="https"), "good", 0),
        ("a cache by default", a("cache"), "bad", 1),
        ("a cache that takes both", a("cache", transitEncryptionEnabled=True, transitEncryptionMode="preferred"), "bad", 1),
        ("memcached", a("cache-node", engine="memcached"), "bad", 1),
        ("MemoryDB that says no", a("memorydb", tlsEnabled=False), "bad", 1),
        ("search by default", a("search"), "bad", 2),
        ("search by plain HTTP", a("search", **{**HTTPS, "domainEndpointOptions": {"enforceHttps": False}}), "bad", 1),
        (
            "search by TLS 1.0",
            a("search", **{**HTTPS, "domainEndpointOptions": {"tlsSecurityPolicy": "Policy-Min-TLS-1-0-2019-07"}}),
            "bad",
            1,
        ),
        (
            "Kafka that takes both",
            transit(clientBroker="TLS_PLAINTEXT"),
            "bad",
            1,
        ),
        ("Kafka among the brokers", transit(inCluster=False), "bad", 1),
        ("a proxy by default", a("proxy"), "bad", 1),
        ("Postgres", parameter("rds.force_ssl", "0"), "bad", 1),
        ("MySQL", parameter("require_secure_transport", "OFF"), "bad", 1),
        ("DocumentDB", parameter("tls", "disabled", "documents-parameters"), "bad", 1),
        ("DAX", a("dax"), "bad", 1),
        ("files by default", files(), "bad", 1),
        ("a subscription by HTTP", a("subscription", protocol="http"), "bad", 1),
        ("a migration", a("migration", engineName="postgres", sslMode="require"), "good", 0),
        ("a migration to a bucket", a("migration", engineName="s3"), "good", 0),
        ("a migration by default", a("migration", engineName="postgres"), "bad", 1),
        ("a migration in plain text", a("migration", engineName="mysql", sslMode="none"), "bad", 1),
        ("unknown", a("cache", transitEncryptionEnabled=UNKNOWN), "unknown", 0),
    ],
    "database-private": [
        ("a database", a("db"), "good", 0),
        ("search", a("search", vpcOptions={"subnetIds": ["subnet-1"]}), "good", 0),
        ("Kafka", a("kafka"), "good", 0),
        ("a public database", a("db", publiclyAccessible=True), "bad", 1),
        ("an instance of Aurora", a("aurora-instance", publiclyAccessible=True), "bad", 1),
        ("Redshift", a("warehouse", publiclyAccessible=True), "bad", 1),
        ("Redshift without servers", a("workgroup", publiclyAccessible=True), "bad", 1),
        ("a broker", a("broker", publiclyAccessible=True), "bad", 1),
        ("public search", a("search"), "bad", 1),
        (
            "public Kafka",
            a("kafka", brokerNodeGroupInfo={"connectivityInfo": {"publicAccess": {"type": "SERVICE_PROVIDED_EIPS"}}}),
            "bad",
            1,
        ),
        ("unknown", a("db", publiclyAccessible=UNKNOWN), "unknown", 0),
    ],
    "database-login": [
        ("a token", a("cache", authToken=UNKNOWN), "good", 0),
        ("users", a("cache", userGroupIds=["chat"]), "good", 0),
        ("users without servers", a("cache-serverless", engine="valkey", userGroupId="chat"), "good", 0),
        ("memcached, which knows none", a("cache-serverless", engine="memcached"), "good", 0),
        ("the default user switched off", a("cache-user", accessString="off ~* -@all", noPasswordRequired=True), "good", 0),
        ("a user by IAM", a("cache-user", accessString="on ~* +@all", authenticationMode={"type": "iam"}), "good", 0),
        ("MemoryDB", a("memorydb", aclName="chat"), "good", 0),
        ("Kafka by IAM", kafka(sasl={"iam": True}), "good", 0),
        ("Kafka by certificates", kafka(tls={"certificateAuthorityArns": ["arn:ca"]}), "good", 0),
        ("Neptune", a("graph", iamDatabaseAuthenticationEnabled=True), "good", 0),
        ("a cache for all", a("cache"), "bad", 1),
        ("a cache for all without servers", a("cache-serverless", engine="redis"), "bad", 1),
        ("a user without password", a("cache-user", accessString="on ~* +@all", noPasswordRequired=True), "bad", 1),
        ("MemoryDB for all", a("memorydb", aclName="open-access"), "bad", 1),
        ("Kafka for all, too", kafka(sasl={"iam": True}, unauthenticated=True), "bad", 1),
        ("Kafka by default", a("kafka"), "bad", 1),
        ("Neptune by default", a("graph"), "bad", 1),
        ("search for anyone", a("search", advancedSecurityOptions={"enabled": True, "anonymousAuthEnabled": True}), "bad", 1),
        ("search with users", a("search", advancedSecurityOptions={"enabled": True}), "good", 0),
        ("unknown", a("memorydb", aclName=UNKNOWN), "unknown", 0),
    ],
    "database-backups": [
        ("a cluster by default", a("aurora"), "good", 0),
        ("Redshift by default", a("warehouse"), "good", 0),
        ("an instance by default", a("db"), "bad", 1),
        ("a replica", a("db", replicateSourceDb="chat"), "good", 0),
        ("restored from a snapshot", a("db", snapshotIdentifier="rds:chat-2026-11-01"), "good", 0),
        ("restored from a snapshot that is made now", a("db", snapshotIdentifier=UNKNOWN), "good", 0),
        ("Aurora's, whose cluster decides", a("db", engine="aurora-postgresql"), "good", 0),
        ("restored to a time", a("db", restoreToPointInTime={"useLatestRestorableTime": True}), "good", 0),
        ("two weeks", a("aurora", backupRetentionPeriod=14), "good", 0),
        ("none", a("db", backupRetentionPeriod=0), "bad", 1),
        ("none of a replica", a("db", replicateSourceDb="chat", backupRetentionPeriod=0), "good", 0),
        ("none of what is restored", a("db", snapshotIdentifier="rds:chat", backupRetentionPeriod=0), "bad", 1),
        ("none of Redshift", a("warehouse", automatedSnapshotRetentionPeriod=0), "bad", 1),
        ("unknown", a("db", backupRetentionPeriod=UNKNOWN), "unknown", 0),
    ],
}

test_case, test_every_rule_has_all_kinds_of_case = counted_cases(RULES, TABLE)
