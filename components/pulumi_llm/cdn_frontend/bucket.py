"""The private bucket that holds the page."""

import json
from collections.abc import Sequence
from typing import Any

import pulumi
from pulumi_aws import cloudfront, s3

from pulumi_llm.base.component import Component
from pulumi_llm.base.iam import policy_document


def create_bucket(component: Component) -> s3.Bucket:
    """Make the bucket. Only `let_cdn_read` lets anyone read it."""
    bucket = s3.Bucket(component.child_name("bucket"), tags=component.tags, opts=component.child("bucket"))
    s3.BucketOwnershipControls(
        component.child_name("bucket-ownership"),
        bucket=bucket.bucket,
        rule={"object_ownership": "BucketOwnerEnforced"},
        opts=component.child("bucket-ownership"),
    )
    s3.BucketServerSideEncryptionConfiguration(
        component.child_name("bucket-encryption"),
        bucket=bucket.bucket,
        # A KMS key would protect nothing here: everybody may read the page.
        rules=[{"apply_server_side_encryption_by_default": {"sse_algorithm": "AES256"}}],
        opts=component.child("bucket-encryption"),
    )
    return bucket


def let_cdn_read(component: Component, bucket: s3.Bucket, distribution: cloudfront.Distribution) -> s3.BucketPolicy:
    """Let this distribution alone read the bucket, and nobody without TLS.

    https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/private-content-restricting-access-to-s3.html
    """
    block = s3.BucketPublicAccessBlock(
        component.child_name("bucket-access-block"),
        bucket=bucket.bucket,
        block_public_acls=True,
        block_public_policy=True,
        ignore_public_acls=True,
        restrict_public_buckets=True,
        opts=component.child("bucket-access-block"),
    )
    return s3.BucketPolicy(
        component.child_name("bucket-policy"),
        bucket=bucket.bucket,
        policy=pulumi.Output.all(bucket.arn, distribution.arn).apply(_policy),
        # S3 takes one change of a bucket's access at a time.
        opts=component.child("bucket-policy", depends_on=[block]),
    )


def _policy(arns: Sequence[str]) -> str:
    bucket, distribution = arns
    read: dict[str, Any] = {
        "Sid": "CdnReads",
        "Effect": "Allow",
        "Principal": {"Service": "cloudfront.amazonaws.com"},
        "Action": "s3:GetObject",
        "Resource": f"{bucket}/*",
        "Condition": {"StringEquals": {"AWS:SourceArn": distribution}},
    }
    tls: dict[str, Any] = {
        "Sid": "OnlyByTls",
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": [bucket, f"{bucket}/*"],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    return json.dumps(policy_document(read, tls))
