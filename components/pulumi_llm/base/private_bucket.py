"""A bucket that nobody outside the account gets into, and nobody without TLS."""

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import pulumi

from pulumi_llm.base.component import Component
from pulumi_llm.base.iam import only_by_tls, policy_document
from pulumi_llm.base.lazy_modules import load

if TYPE_CHECKING:  # it takes long to load, and few programs with an API have a bucket
    from pulumi_aws import s3


def children(key: str, *, versions: bool = False) -> dict[str, str]:
    """The types of the children that `private_bucket` makes, by their keys."""
    return {
        key: "s3.Bucket",
        f"{key}-ownership": "s3.BucketOwnershipControls",
        f"{key}-encryption": "s3.BucketServerSideEncryptionConfiguration",
        **({f"{key}-versioning": "s3.BucketVersioning"} if versions else {}),
        f"{key}-lifecycle": "s3.BucketLifecycleConfiguration",
        f"{key}-access-block": "s3.BucketPublicAccessBlock",
        f"{key}-policy": "s3.BucketPolicy",
    }


def private_bucket(
    component: Component,
    key: str,
    kms_key_arn: pulumi.Input[str] | None,
    *,
    lifecycle: Sequence[Mapping[str, Any]],
    versions: bool = False,
    protect: bool = False,
    force_destroy: bool = False,
) -> "s3.Bucket":
    """Make the bucket, whose children's keys begin with `key`.

    Args:
        component: The component that has it.
        key: The key of the bucket itself.
        kms_key_arn: The customer key of its objects. None: S3's own keys.
        lifecycle: The rules of its lifecycle.
        versions: Keep old versions of objects.
        protect: Let Pulumi refuse to delete it.
        force_destroy: Delete its objects with it.
    """
    from pulumi_aws import s3

    load(s3)
    bucket = s3.Bucket(
        component.child_name(key),
        force_destroy=force_destroy,
        tags=component.tags,
        opts=component.child(key, protect=protect or None),
    )
    s3.BucketOwnershipControls(
        component.child_name(f"{key}-ownership"),
        bucket=bucket.bucket,
        rule={"object_ownership": "BucketOwnerEnforced"},
        opts=component.child(f"{key}-ownership"),
    )
    by_key: s3.BucketServerSideEncryptionConfigurationRuleArgsDict = {
        "apply_server_side_encryption_by_default": {"sse_algorithm": "aws:kms", "kms_master_key_id": kms_key_arn},
        "bucket_key_enabled": True,
    }
    by_s3: s3.BucketServerSideEncryptionConfigurationRuleArgsDict = {
        "apply_server_side_encryption_by_default": {"sse_algorithm": "AES256"}
    }
    s3.BucketServerSideEncryptionConfiguration(
        component.child_name(f"{key}-encryption"),
        bucket=bucket.bucket,
        rules=[by_s3 if kms_key_arn is None else by_key],
        opts=component.child(f"{key}-encryption"),
    )
    before: list[pulumi.Resource] = []
    if versions:
        versioning = s3.BucketVersioning(
            component.child_name(f"{key}-versioning"),
            bucket=bucket.bucket,
            versioning_configuration={"status": "Enabled"},
            opts=component.child(f"{key}-versioning"),
        )
        before.append(versioning)
    s3.BucketLifecycleConfiguration(
        component.child_name(f"{key}-lifecycle"),
        bucket=bucket.bucket,
        rules=[
            cast(Any, {"status": "Enabled", "abort_incomplete_multipart_upload": {"days_after_initiation": 7}, **rule})
            for rule in lifecycle
        ],
        opts=component.child(f"{key}-lifecycle", depends_on=before),
    )
    block = s3.BucketPublicAccessBlock(
        component.child_name(f"{key}-access-block"),
        bucket=bucket.bucket,
        block_public_acls=True,
        block_public_policy=True,
        ignore_public_acls=True,
        restrict_public_buckets=True,
        opts=component.child(f"{key}-access-block"),
    )
    s3.BucketPolicy(
        component.child_name(f"{key}-policy"),
        bucket=bucket.bucket,
        policy=bucket.arn.apply(lambda arn: json.dumps(policy_document(only_by_tls(arn)))),
        # S3 takes one change of a bucket's access at a time.
        opts=component.child(f"{key}-policy", depends_on=[block]),
    )
    return bucket
