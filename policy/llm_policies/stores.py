"""Rules on databases, caches, streams and search: encryption at rest and on the way, addresses, logins, backups."""

import re
from collections.abc import Iterator, Mapping
from typing import Final

from llm_policies.rule import AWS_DOCS, Resource, Rule, Settings
from llm_policies.values import State, Value, each, each_at

_DB: Final = "aws:rds/instance:Instance"
_DB_CLUSTER: Final = "aws:rds/cluster:Cluster"
_GROUP: Final = "aws:elasticache/replicationGroup:ReplicationGroup"
_SERVERLESS_CACHE: Final = "aws:elasticache/serverlessCache:ServerlessCache"
_CACHE_USER: Final = "aws:elasticache/user:User"
_MEMORYDB: Final = "aws:memorydb/cluster:Cluster"
_KAFKA: Final = "aws:msk/cluster:Cluster"
_STREAM: Final = "aws:kinesis/stream:Stream"
_FIREHOSE: Final = "aws:kinesis/firehoseDeliveryStream:FirehoseDeliveryStream"
_NEPTUNE: Final = "aws:neptune/cluster:Cluster"
_REDSHIFT: Final = "aws:redshift/cluster:Cluster"
_SEARCH: Final = ("aws:opensearch/domain:Domain", "aws:elasticsearch/domain:Domain")


# At rest

# What stands in these starts from data whose encryption is decided already.
_INHERITED: Final = (
    "globalReplicationGroupId",
    "replicateSourceDb",
    "replicationSourceIdentifier",
    "snapshotArns",
    "snapshotIdentifier",
    "snapshotName",
    "sourceDbClusterIdentifier",
)
_AT_REST: Final[Mapping[str, str]] = {
    _DB: "storageEncrypted",
    _DB_CLUSTER: "storageEncrypted",
    "aws:rds/globalCluster:GlobalCluster": "storageEncrypted",
    "aws:docdb/cluster:Cluster": "storageEncrypted",
    _NEPTUNE: "storageEncrypted",
    _REDSHIFT: "encrypted",
    _GROUP: "atRestEncryptionEnabled",
    "aws:dax/cluster:Cluster": "serverSideEncryption.enabled",
    _FIREHOSE: "serverSideEncryption.enabled",
    **dict.fromkeys(_SEARCH, "encryptAtRest.enabled"),
}


def _encrypted(store: Resource, _: Settings) -> Iterator[str]:
    if store.type == _STREAM:
        if not store["encryptionType"].equals("KMS"):
            yield "encryptionType is not KMS: what the stream holds lies unencrypted; write KMS with a kmsKeyId"
        return
    place = store.at(_AT_REST[store.type])
    if place.flag(default=_encrypts_by_itself(store)):
        return
    if place.missing and any(store[name].data for name in _INHERITED):
        return
    # A delivery stream that reads from Kinesis or Kafka keeps nothing itself.
    if store.type == _FIREHOSE and any(store[f"{kind}SourceConfiguration"].data for kind in ("kinesis", "msk")):
        return
    if store.type == _DB and store["engine"].text().startswith("aurora"):
        return  # its cluster decides
    yield f"{_AT_REST[store.type]} is not true: what it holds, and every snapshot of it, lies unencrypted"


def _encrypts_by_itself(store: Resource) -> bool:
    """Whether AWS encrypts a store for which the program says nothing."""
    if store.type in (_DB_CLUSTER, "aws:rds/globalCluster:GlobalCluster"):
        # https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/Overview.Encryption.html: since 2026-02-18
        return store["engine"].text("aurora").startswith("aurora")
    if store.type == _GROUP:  # CreateReplicationGroup: "Default: true when using Valkey, false when using Redis OSS"
        return store["engine"].equals("valkey")
    return store.type == _REDSHIFT  # CreateCluster: "Default: true"


# On the way

_OFF: Final[Mapping[str, tuple[str, ...]]] = {
    "neptune_enforce_ssl": ("0", "false", "off"),
    "rds.force_ssl": ("0", "false", "off"),
    "require_secure_transport": ("0", "false", "off"),
    "require_ssl": ("0", "false", "off"),
    "tls": ("disabled",),
}
_PARAMETERS: Final = (
    "aws:rds/parameterGroup:ParameterGroup",
    "aws:rds/clusterParameterGroup:ClusterParameterGroup",
    "aws:docdb/clusterParameterGroup:ClusterParameterGroup",
    "aws:neptune/clusterParameterGroup:ClusterParameterGroup",
    "aws:redshift/parameterGroup:ParameterGroup",
)
_PROXY: Final = "aws:rds/proxy:Proxy"
_DAX: Final = "aws:dax/cluster:Cluster"
_ENDPOINT: Final = "aws:dms/endpoint:Endpoint"
_TASK: Final = "aws:ecs/taskDefinition:TaskDefinition"
_CACHE: Final = "aws:elasticache/cluster:Cluster"
_SUBSCRIPTION: Final = "aws:sns/topicSubscription:TopicSubscription"


def _tls(store: Resource, _: Settings) -> Iterator[str]:
    match store.type:
        case kind if kind in _PARAMETERS:
            yield from each(store["parameters"].items(), _parameter)
        case kind if kind in _SEARCH:
            yield from each_at(
                store.properties, (("domainEndpointOptions", _endpoint), ("nodeToNodeEncryption", _between_nodes))
            )
        case "aws:elasticache/cluster:Cluster":
            if store["replicationGroupId"].missing and not store["transitEncryptionEnabled"].flag():
                yield "transitEncryptionEnabled is not true: cached answers cross the network in plain text"
        case "aws:elasticache/replicationGroup:ReplicationGroup":
            if not store["transitEncryptionEnabled"].flag(default=store["globalReplicationGroupId"].data is not None):
                yield "transitEncryptionEnabled is not true: cached answers cross the network in plain text"
            elif store["transitEncryptionMode"].equals("preferred"):
                yield "transitEncryptionMode is preferred: the cache takes plain text, too; write required"
        case "aws:memorydb/cluster:Cluster":
            if not store["tlsEnabled"].flag(default=True):
                yield "tlsEnabled is false: what it holds crosses the network in plain text"
        case "aws:msk/cluster:Cluster":
            yield from each_at(store.properties, (("encryptionInfo.encryptionInTransit", _brokers),))
        case "aws:rds/proxy:Proxy":
            if not store["requireTls"].flag():
                yield "requireTls is not true: the proxy takes plain text"
        case "aws:dax/cluster:Cluster":
            if not store["clusterEndpointEncryptionType"].equals("TLS"):
                yield "clusterEndpointEncryptionType is not TLS: items cross the network in plain text"
        case "aws:ecs/taskDefinition:TaskDefinition":
            yield from each(store["volumes"].items(), _mounted)
        case "aws:dms/endpoint:Endpoint":
            if store["sslMode"].equals(None, "none") and store["engineName"].equals(*_MIGRATED):
                yield "sslMode is none: what is migrated, and the password, cross the network in plain text; write require"
        case _:
            if store["protocol"].equals("http"):
                yield "protocol is http: what the topic tells is sent in plain text; give an https address"


# What DMS reaches by TLS if told so. https://docs.aws.amazon.com/dms/latest/userguide/CHAP_Security.SSL.html
_MIGRATED: Final = (
    *("aurora", "aurora-postgresql", "db2", "docdb", "mariadb", "mongodb", "mysql", "oracle", "postgres", "sqlserver"),
    *("sybase",),
)


def _parameter(parameter: Value) -> Iterator[str]:
    name, value = parameter["name"].text(), parameter["value"].text()
    if value.lower() in _OFF.get(name, ()):
        yield f"{parameter.path}: {name} is {value}: the database takes plain text"


def _endpoint(options: Value) -> Iterator[str]:
    # Without the block nobody asks for HTTPS; within it, the provider does.
    if options.missing or not options["enforceHttps"].flag(default=True):
        yield f"{options.path}.enforceHttps is not true: the domain answers plain HTTP"
    elif (policy := options["tlsSecurityPolicy"]).text().startswith("Policy-Min-TLS-1-0"):
        yield f"{policy.path} is {policy.text()}: clients may use TLS 1.0; write Policy-Min-TLS-1-2-PFS-2023-10"


def _between_nodes(options: Value) -> Iterator[str]:
    if not options["enabled"].flag():
        yield f"{options.path}.enabled is not true: documents cross the network between the nodes in plain text"


def _brokers(transit: Value) -> Iterator[str]:
    if transit["clientBroker"].equals("PLAINTEXT", "TLS_PLAINTEXT"):
        yield f"{transit.path}.clientBroker is {transit['clientBroker'].text()}: the brokers take plain text; write TLS"
    if not transit["inCluster"].flag(default=True):
        yield f"{transit.path}.inCluster is false: the brokers speak to each other in plain text"


def _mounted(volume: Value) -> Iterator[str]:
    files = volume["efsVolumeConfiguration"]
    if not files.missing and not files["transitEncryption"].equals("ENABLED"):
        yield f"{files.path}.transitEncryption is not ENABLED: the task mounts its files over plain NFS"


# Addresses

_PUBLIC: Final[Mapping[str, str]] = {
    _DB: "publiclyAccessible",
    "aws:rds/clusterInstance:ClusterInstance": "publiclyAccessible",
    "aws:neptune/clusterInstance:ClusterInstance": "publiclyAccessible",
    _REDSHIFT: "publiclyAccessible",
    "aws:redshiftserverless/workgroup:Workgroup": "publiclyAccessible",
    "aws:dms/replicationInstance:ReplicationInstance": "publiclyAccessible",
    "aws:mq/broker:Broker": "publiclyAccessible",
    "aws:timestreaminfluxdb/dbInstance:DbInstance": "publiclyAccessible",
    "aws:timestreaminfluxdb/dbCluster:DbCluster": "publiclyAccessible",
    "aws:lightsail/database:Database": "publiclyAccessible",
}


def _private(store: Resource, _: Settings) -> Iterator[str]:
    if store.type in _SEARCH:
        if store["vpcOptions"].missing:
            yield "vpcOptions is missing: the domain has an address on the internet, which nobody can take away later"
    elif store.type == _KAFKA:
        access = store.at("brokerNodeGroupInfo.connectivityInfo.publicAccess.type")
        if access.equals("SERVICE_PROVIDED_EIPS"):
            yield f"{access.path} is SERVICE_PROVIDED_EIPS: the brokers have public addresses; write DISABLED"
    elif store[_PUBLIC[store.type]].flag():
        yield f"{_PUBLIC[store.type]} is true: it has an address on the internet; reach it from within the network"


# Logins


def _asks_for_login(store: Resource, _: Settings) -> Iterator[str]:
    match store.type:
        case "aws:elasticache/replicationGroup:ReplicationGroup":
            names = ("authToken", "userGroupIds", "globalReplicationGroupId")
            if not any(_is_given(store[name]) for name in names):
                yield "userGroupIds and authToken are missing: whoever reaches the cache reads and changes it"
        case "aws:elasticache/serverlessCache:ServerlessCache":
            if not store["engine"].equals("memcached") and not _is_given(store["userGroupId"]):
                yield "userGroupId is missing: whoever reaches the cache reads and changes it"
        case "aws:elasticache/user:User":
            # The user `default`, which every group needs, is switched off by an access string that begins so.
            if re.match(r"off\b", store["accessString"].text()):
                return
            if store["noPasswordRequired"].flag() or store.at("authenticationMode.type").equals("no-password-required"):
                yield "noPasswordRequired: whoever reaches the cache is this user; ask for passwords or IAM"
        case "aws:memorydb/cluster:Cluster":
            if store["aclName"].equals("open-access"):
                yield "aclName is open-access: whoever reaches the cluster reads and changes it"
        case kind if kind in _SEARCH:
            if store.at("advancedSecurityOptions.anonymousAuthEnabled").flag():
                yield "advancedSecurityOptions.anonymousAuthEnabled is true: the domain answers those who do not log in"
        case "aws:msk/cluster:Cluster":
            login = store["clientAuthentication"]
            asks = login.at("sasl.iam").flag() or login.at("sasl.scram").flag() or login["tls"].data
            if login["unauthenticated"].flag() or not asks:
                yield "clientAuthentication takes clients without a login: whoever reaches the brokers reads; ask for sasl.iam"
        case _:
            if not store["iamDatabaseAuthenticationEnabled"].flag():
                yield "iamDatabaseAuthenticationEnabled is not true: Neptune has no passwords, whoever reaches it reads"


def _is_given(value: Value) -> bool:
    return value.state is State.UNKNOWN or bool(value.items() and value.plain != "")


# Backups

_RETENTION: Final[Mapping[str, str]] = {
    _DB: "backupRetentionPeriod",
    _DB_CLUSTER: "backupRetentionPeriod",
    _REDSHIFT: "automatedSnapshotRetentionPeriod",
}


# What is restored keeps backups for as long as its source did.
_RESTORED_FROM: Final = ("restoreToPointInTime", "snapshotIdentifier")


def _backed_up(store: Resource, _: Settings) -> Iterator[str]:
    name = _RETENTION[store.type]
    days = store[name]
    if _is_given(store["replicateSourceDb"]):
        return  # a replica holds what its source holds, which is backed up there
    if store.type == _DB and store["engine"].text().startswith("aurora"):
        return  # its cluster decides
    if not days.missing:
        if days.number(1) <= 0:
            yield f"{name} is 0: nothing brings back what a bug deletes; keep backups for some days"
    # RDS keeps a day by itself, but for an instance the provider writes 0 where the program says nothing.
    elif store.type == _DB and not any(_is_given(store[source]) for source in _RESTORED_FROM):
        yield f"{name} is missing, which is 0: nothing brings back what a bug deletes; keep backups for some days"


RULES: Final[tuple[Rule, ...]] = (
    Rule(
        name="database-encrypted",
        title="Databases, caches, streams and search domains are encrypted at rest.",
        severity="high",
        why="Conversations, embeddings and cached answers lie in them, and in each snapshot that is copied; for most of them "
        "encryption can be chosen only at creation.",
        fix="`storage_encrypted=True` (or the store's own name for it), with a KMS key where the key should be yours.",
        check=_encrypted,
        types=(*_AT_REST, _STREAM),
        frameworks=("AWS FSBP RDS.3", "AWS FSBP ElastiCache.4", "AWS FSBP Opensearch.1", "AWS FSBP Kinesis.1"),
        url=f"{AWS_DOCS}/AmazonRDS/latest/UserGuide/Overview.Encryption.html",
    ),
    Rule(
        name="database-tls",
        title="Databases, caches, brokers and mounted files take no plain text.",
        severity="high",
        why="Prompts, answers and passwords cross the network to them: in plain text, whoever is in the network reads along.",
        fix="Ask for TLS: `transit_encryption_enabled`, `enforce_https`, `require_tls`, client_broker TLS, transit_encryption "
        "ENABLED; leave the parameters that ask for it on.",
        check=_tls,
        types=(*_PARAMETERS, *_SEARCH, _CACHE, _GROUP, _MEMORYDB, _KAFKA, _PROXY, _DAX, _TASK, _SUBSCRIPTION, _ENDPOINT),
        frameworks=(
            "AWS FSBP DMS.9",
            "AWS FSBP ElastiCache.5",
            "AWS FSBP Opensearch.8",
            "AWS FSBP Opensearch.3",
            "AWS FSBP MSK.1",
        ),
        url=f"{AWS_DOCS}/AmazonElastiCache/latest/dg/in-transit-encryption.html",
    ),
    Rule(
        name="database-private",
        title="Databases, brokers and search domains have no address on the internet.",
        severity="critical",
        why="A database on the internet is one leaked password, or one hole of its software, away from all conversations.",
        fix="`publicly_accessible=False`, `vpc_options` with private subnets; reach it from within, or by a tunnel.",
        check=_private,
        types=(*_PUBLIC, *_SEARCH, _KAFKA),
        frameworks=("AWS FSBP RDS.2", "AWS FSBP Redshift.1", "AWS FSBP Opensearch.2", "AWS FSBP MSK.4"),
        url=f"{AWS_DOCS}/AmazonRDS/latest/UserGuide/USER_VPC.WorkingWithRDSInstanceinaVPC.html",
    ),
    Rule(
        name="database-login",
        title="Caches, brokers and graphs ask who reads.",
        severity="high",
        why="Without a login every function, pod and notebook of the network reads and changes what all tenants have cached.",
        fix="A user group with IAM or passwords, an auth token, sasl.iam for brokers, IAM authentication for Neptune.",
        check=_asks_for_login,
        types=(_GROUP, _SERVERLESS_CACHE, _CACHE_USER, _MEMORYDB, _KAFKA, _NEPTUNE, *_SEARCH),
        frameworks=("AWS FSBP ElastiCache.6", "AWS FSBP MSK.6", "AWS FSBP Neptune.7"),
        url=f"{AWS_DOCS}/AmazonElastiCache/latest/dg/Clusters.RBAC.html",
    ),
    Rule(
        name="database-backups",
        title="Databases keep backups.",
        severity="medium",
        why="Keys, conversations and quotas live in databases; a bug or a thief that deletes them is otherwise final.",
        fix="`backup_retention_period` of some days, at most 35; a cluster without it keeps one day, an `rds.Instance` none.",
        check=_backed_up,
        types=tuple(_RETENTION),
        frameworks=("AWS FSBP RDS.11",),
        url=f"{AWS_DOCS}/AmazonRDS/latest/UserGuide/USER_WorkingWithAutomatedBackups.html",
    ),
)
