"""The private bucket of the documents."""

import json

import pulumi
from pulumi_aws import s3

from pulumi_llm.base.component import Component
from pulumi_llm.base.iam import only_by_tls, policy_document

# Days for which a document that was replaced or deleted can be brought back.
_OLD_VERSIONS_DAYS = 30


def create_bucket(component: Component, kms_key_arn: pulumi.Input[str] | None, *, deletion_protection: bool) -> s3.Bucket:
    """Make the bucket: nobody outside the account gets in, and nobody without TLS."""
    bucket = s3.Bucket(
        component.child_name("documents"),
        force_destroy=not deletion_protection,
        tags=component.tags,
        opts=component.child("documents", protect=deletion_protection or None),
    )
    s3.BucketOwnershipControls(
        component.child_name("documents-ownership"),
        bucket=bucket.bucket,
        rule={"object_ownership": "BucketOwnerEnforced"},
        opts=component.child("documents-ownership"),
    )
    by_key: s3.BucketServerSideEncryptionConfigurationRuleArgsDict = {
        "apply_server_side_encryption_by_default": {"sse_algorithm": "aws:kms", "kms_master_key_id": kms_key_arn},
        "bucket_key_enabled": True,
    }
    by_s3: s3.BucketServerSideEncryptionConfigurationRuleArgsDict = {
        "apply_server_side_encryption_by_default": {"sse_algorithm": "AES256"}
    }
    s3.BucketServerSideEncryptionConfiguration(
        component.child_name("documents-encryption"),
        bucket=bucket.bucket,
        rules=[by_s3 if kms_key_arn is None else by_key],
        opts=component.child("documents-encryption"),
    )
    versioning = s3.BucketVersioning(
        component.child_name("documents-versioning"),
        bucket=bucket.bucket,
        versioning_configuration={"status": "Enabled"},
        opts=component.child("documents-versioning"),
    )
    s3.BucketLifecycleConfiguration(
        component.child_name("documents-lifecycle"),
        bucket=bucket.bucket,
        rules=[
            {
                "id": "old-versions",
                "status": "Enabled",
                "filter": {"prefix": ""},
                "noncurrent_version_expiration": {"noncurrent_days": _OLD_VERSIONS_DAYS},
                "abort_incomplete_multipart_upload": {"days_after_initiation": 7},
                "expiration": {"expired_object_delete_marker": True},
            }
        ],
        opts=component.child("documents-lifecycle", depends_on=[versioning]),
    )
    block = s3.BucketPublicAccessBlock(
        component.child_name("documents-access-block"),
        bucket=bucket.bucket,
        block_public_acls=True,
        block_public_policy=True,
        ignore_public_acls=True,
        restrict_public_buckets=True,
        opts=component.child("documents-access-block"),
    )
    s3.BucketPolicy(
        component.child_name("documents-policy"),
        bucket=bucket.bucket,
        policy=bucket.arn.apply(lambda arn: json.dumps(policy_document(only_by_tls(arn)))),
        # S3 takes one change of a bucket's access at a time.
        opts=component.child("documents-policy", depends_on=[block]),
    )
    return bucket
