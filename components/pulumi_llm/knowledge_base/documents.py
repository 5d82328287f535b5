"""The private bucket of the documents."""

import pulumi
from pulumi_aws import s3

from pulumi_llm.base.component import Component
from pulumi_llm.base.private_bucket import children, private_bucket

CHILDREN = children("documents", versions=True)

# Days for which a document that was replaced or deleted can be brought back.
_OLD_VERSIONS_DAYS = 30


def create_bucket(component: Component, kms_key_arn: pulumi.Input[str] | None, *, deletion_protection: bool) -> s3.Bucket:
    """Make the bucket, which keeps old versions for a while."""
    lifecycle = {
        "id": "old-versions",
        "filter": {"prefix": ""},
        "noncurrent_version_expiration": {"noncurrent_days": _OLD_VERSIONS_DAYS},
        "expiration": {"expired_object_delete_marker": True},
    }
    return private_bucket(
        component,
        "documents",
        kms_key_arn,
        lifecycle=[lifecycle],
        versions=True,
        protect=deletion_protection,
        force_destroy=not deletion_protection,
    )
