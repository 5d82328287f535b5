"""Rules on encryption at rest: queues, topics, tables, disks, file systems, clusters, buckets, keys."""

import re
from collections.abc import Iterator
from typing import Final

from llm_policies import networks, secrets_in_settings, tls
from llm_policies.rule import AWS_DOCS, BOOLEAN, Resource, Rule, Setting, Settings
from llm_policies.values import Value, each


def _sqs_encrypted(queue: Resource, settings: Settings) -> Iterator[str]:
    managed, key = queue["sqsManagedSseEnabled"], queue["kmsMasterKeyId"]
    if not managed.flag(default=True) and not key.text():
        yield "sqsManagedSseEnabled is false and there is no kmsMasterKeyId: messages lie unencrypted; leave one of them on"
    elif settings["customer_key"] and not key.text():
        yield "kmsMasterKeyId is missing: messages are encrypted by a key that is not yours; name a KMS key"


def _sns_encrypted(topic: Resource, _: Settings) -> Iterator[str]:
    if not topic["kmsMasterKeyId"].text():
        yield "kmsMasterKeyId is missing: messages are not encrypted by KMS; name a key, such as alias/aws/sns or one of yours"


def _dynamodb_kms(table: Resource, settings: Settings) -> Iterator[str]:
    if not settings["customer_key"]:
        return  # every table is encrypted, by a key that AWS owns, whatever it says
    if not table.at("serverSideEncryption.enabled").flag():
        yield "serverSideEncryption.enabled is not true: the table's key is AWS's own; turn it on and name a kmsKeyArn"
    elif not table.at("serverSideEncryption.kmsKeyArn").text():
        yield "serverSideEncryption.kmsKeyArn is missing: the key is AWS's, with a policy that you cannot write; name yours"
    yield from each(table["replicas"].items(), _replica_key)


def _replica_key(replica: Value) -> Iterator[str]:
    if not replica["kmsKeyArn"].text():
        yield f"{replica.path}.kmsKeyArn is missing: a replica has a key of its own Region; name one"


def _ebs_encrypted(resource: Resource, settings: Settings) -> Iterator[str]:
    by_default: bool = settings["account_default"]

    def disk(value: Value) -> Iterator[str]:
        encrypted = value["encrypted"]
        if encrypted.missing and (by_default or value["snapshotId"].text() or value["noDevice"].text()):
            return  # the account's default, or the snapshot's own state, decides
        if not encrypted.flag():
            yield f"{value.path or 'the volume'}{'.' if value.path else ': '}encrypted is not true: the disk lies unencrypted"

    def of_instance(place: Value) -> Iterator[str]:
        if place.path == "ebsBlockDevices":
            yield from each(place.items(), disk)
        # An instance without the block starts from its image's disk, or from its launch template's.
        elif not place.missing or not networks.has_template(resource):
            yield from disk(place)

    match resource.type:
        case "aws:ebs/encryptionByDefault:EncryptionByDefault":
            if not resource["enabled"].flag(default=True):
                yield "enabled is false: new disks of the account are no longer encrypted by default"
        case "aws:ec2/launchTemplate:LaunchTemplate":
            mappings = resource["blockDeviceMappings"].items()
            yield from each(mappings, lambda mapping: iter(()) if mapping["ebs"].missing else disk(mapping["ebs"]))
        case "aws:ebs/volume:Volume":
            yield from disk(resource.properties)
        case _:
            yield from each((resource["rootBlockDevice"], resource["ebsBlockDevices"]), of_instance)


def _efs_encrypted(file_system: Resource, _: Settings) -> Iterator[str]:
    if not file_system["encrypted"].flag():
        yield "encrypted is not true: models and caches on it lie unencrypted, and it cannot be turned on later"


def _eks_secrets_encrypted(cluster: Resource, settings: Settings) -> Iterator[str]:
    if cluster["encryptionConfig"].missing:
        if settings["customer_key"] or _before_default_encryption(cluster["version"].text()):
            yield "encryptionConfig is missing: Kubernetes secrets are not encrypted by a key of yours; give a keyArn"
        return
    if not cluster.at("encryptionConfig.provider.keyArn").text():
        yield "encryptionConfig.provider.keyArn is missing: name the KMS key that encrypts Kubernetes secrets"
    if not any(item.equals("secrets") for item in cluster.at("encryptionConfig.resources").items()):
        yield "encryptionConfig.resources lacks 'secrets'"


def _before_default_encryption(version: str) -> bool:
    """Since version 1.28, EKS encrypts every API object itself, with a key that AWS owns."""
    match = re.fullmatch(r"1\.(\d+)", version)
    return bool(match) and int(match[1]) < 28


def _s3_not_weakened(resource: Resource, settings: Settings) -> Iterator[str]:
    inline = resource.type in tls.BUCKETS
    rules = resource.at("serverSideEncryptionConfiguration.rule") if inline else resource["rules"]

    def rule(value: Value) -> Iterator[str]:
        default = value["applyServerSideEncryptionByDefault"]
        if any(item.equals("NONE") for item in value["blockedEncryptionTypes"].items()):
            yield (
                f"{value.path}.blockedEncryptionTypes is NONE: uploads may carry keys of their own (SSE-C), which only their "
                "holder can read; leave it out, or block SSE-C"
            )
        if settings["customer_key"] and not default["kmsMasterKeyId"].text():
            yield f"{value.path}.applyServerSideEncryptionByDefault.kmsMasterKeyId is missing: name a KMS key of yours"

    yield from each(rules.items(), rule)


def _kms_rotation(key: Resource, _: Settings) -> Iterator[str]:
    symmetric = key["customerMasterKeySpec"].text("SYMMETRIC_DEFAULT") == "SYMMETRIC_DEFAULT"
    encrypts = key["keyUsage"].text("ENCRYPT_DECRYPT") == "ENCRYPT_DECRYPT"
    if not (symmetric and encrypts and key["customKeyStoreId"].missing):
        return  # KMS rotates no asymmetric, HMAC or key store's key
    if not key["enableKeyRotation"].flag():
        yield "enableKeyRotation is not true: the key's material never changes; turn it on"


def _log_group_kms(group: Resource, settings: Settings) -> Iterator[str]:
    if settings["customer_key"] and not group["kmsKeyId"].text():
        yield "kmsKeyId is missing: the log is encrypted by a key that AWS owns; name a KMS key that CloudWatch Logs may use"


def customer_key(default: bool, what: str) -> dict[str, Setting]:
    return {"customer_key": Setting(default, BOOLEAN, f"Whether {what} must be encrypted by a KMS key of the account's own.")}


_DISKS: Final = (
    "aws:ebs/encryptionByDefault:EncryptionByDefault",
    "aws:ebs/volume:Volume",
    "aws:ec2/instance:Instance",
    "aws:ec2/launchConfiguration:LaunchConfiguration",
    "aws:ec2/launchTemplate:LaunchTemplate",
    "aws:ec2/spotInstanceRequest:SpotInstanceRequest",
)

RULES: Final[tuple[Rule, ...]] = (
    Rule(
        name="sqs-encrypted",
        title="Queues are encrypted at rest.",
        severity="high",
        why="Queues of asynchronous inference hold whole prompts and answers until a worker takes them.",
        fix="Leave `sqs_managed_sse_enabled` out, or give a `kms_master_key_id`.",
        check=_sqs_encrypted,
        types=("aws:sqs/queue:Queue",),
        settings=customer_key(False, "a queue"),
        frameworks=("AWS FSBP SQS.1",),
        url=f"{AWS_DOCS}/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-server-side-encryption.html",
    ),
    Rule(
        name="sns-encrypted",
        title="Topics are encrypted by KMS.",
        severity="medium",
        why="What a topic carries is stored until each subscriber has it; alarms and callbacks quote requests.",
        fix='Give `kms_master_key_id="alias/aws/sns"`, or a key of yours where other AWS services publish to the topic.',
        check=_sns_encrypted,
        types=("aws:sns/topic:Topic",),
        url=f"{AWS_DOCS}/sns/latest/dg/sns-server-side-encryption.html",
    ),
    Rule(
        name="dynamodb-kms",
        title="Tables are encrypted by a key of the account's own, where the setting asks for it.",
        severity="medium",
        why="A key of yours has a policy and a log of its own: who reads conversations can be told, and stopped, by the key.",
        fix="`server_side_encryption={'enabled': True, 'kms_key_arn': key.arn}`, also for each replica.",
        check=_dynamodb_kms,
        types=("aws:dynamodb/table:Table",),
        settings=customer_key(False, "a table"),
        url=f"{AWS_DOCS}/amazondynamodb/latest/developerguide/EncryptionAtRest.html",
    ),
    Rule(
        name="ebs-encrypted",
        title="Disks of instances and GPU nodes are encrypted.",
        severity="high",
        why="Nodes keep model weights, caches and container logs on their disks; snapshots of them are easily shared.",
        fix="`encrypted=True` on each volume, root and other block device, and in each launch template's `ebs`.",
        check=_ebs_encrypted,
        types=_DISKS,
        settings={
            "account_default": Setting(
                False, BOOLEAN, "Whether the account encrypts new disks by default: a missing `encrypted` is then right."
            )
        },
        frameworks=("AWS FSBP EC2.3",),
        url=f"{AWS_DOCS}/ebs/latest/userguide/ebs-encryption.html",
    ),
    Rule(
        name="efs-encrypted",
        title="File systems are encrypted.",
        severity="high",
        why="Shared model stores and prompt data on EFS lie readable on disk, and encryption can be chosen only at creation.",
        fix="`encrypted=True`, with a `kms_key_id` where the key should be yours.",
        check=_efs_encrypted,
        types=("aws:efs/fileSystem:FileSystem",),
        frameworks=("AWS FSBP EFS.1", "CIS AWS 3.0 2.4.1"),
        url=f"{AWS_DOCS}/efs/latest/ug/encryption-at-rest.html",
    ),
    Rule(
        name="eks-secrets-encrypted",
        title="A cluster's Kubernetes secrets are encrypted by a key of the account's own.",
        severity="medium",
        why="Registry tokens and provider keys live in the cluster's store. EKS encrypts it itself from 1.28 on, but only a "
        "key of yours lets you see and stop its use.",
        fix="`encryption_config={'provider': {'key_arn': key.arn}, 'resources': ['secrets']}`.",
        check=_eks_secrets_encrypted,
        types=("aws:eks/cluster:Cluster",),
        settings=customer_key(True, "Kubernetes secrets"),
        frameworks=("AWS FSBP EKS.3",),
        url=f"{AWS_DOCS}/eks/latest/userguide/envelope-encryption.html",
    ),
    Rule(
        name="s3-encryption-not-weakened",
        title="A bucket's encryption is not made weaker than S3's default.",
        severity="medium",
        why="S3 encrypts every object by itself; what a program writes about it should only make that stronger.",
        fix="Leave `blocked_encryption_types` out or block SSE-C; name a KMS key where the setting asks for one.",
        check=_s3_not_weakened,
        types=(
            "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration",
            "aws:s3/bucketServerSideEncryptionConfigurationV2:BucketServerSideEncryptionConfigurationV2",
            "aws:s3/bucket:Bucket",
        ),
        settings=customer_key(False, "a bucket whose encryption is configured"),
        url=f"{AWS_DOCS}/AmazonS3/latest/userguide/UsingServerSideEncryption.html",
    ),
    Rule(
        name="kms-rotation",
        title="Symmetric keys are rotated.",
        severity="medium",
        why="Rotation bounds how much data one key's material has encrypted; KMS keeps the old material for what is there.",
        fix="`enable_key_rotation=True`.",
        check=_kms_rotation,
        types=("aws:kms/key:Key",),
        frameworks=("CIS AWS 3.0 3.6",),
        url=f"{AWS_DOCS}/kms/latest/developerguide/rotate-keys.html",
    ),
    Rule(
        name="log-group-kms",
        title="Log groups are encrypted by a key of the account's own, where the setting asks for it.",
        severity="low",
        why="Logs quote tenants and requests; a key of yours can be taken away from who should not read them.",
        fix="`kms_key_id=key.arn`, with a key policy that allows `logs.<region>.amazonaws.com`.",
        check=_log_group_kms,
        types=("aws:cloudwatch/logGroup:LogGroup",),
        settings=customer_key(False, "a log group"),
        url=f"{AWS_DOCS}/AmazonCloudWatch/latest/logs/encrypt-log-data-kms.html",
    ),
    *tls.RULES,
    *secrets_in_settings.RULES,
)
