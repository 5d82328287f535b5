"""The private bucket that holds the page."""

import json
from collections.abc import Sequence
from typing import Any

import pulumi
from pulumi_aws import cloudfront, s3

from pulumi_llm.base.component import Component
from pulumi_llm.base.iam import only_by_tls, policy_document


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

    It may list the bucket, too, because S3 answers 403 for a file that is not there to whoever may not. Nobody gets the list
    by the CDN: its function makes the page of a path that could be the bucket's own.
    https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/private-content-restricting-access-to-s3.html
    https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html
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
    by_cdn: dict[str, Any] = {
        "Effect": "Allow",
        "Principal": {"Service": "cloudfront.amazonaws.com"},
        "Condition": {"StringEquals": {"AWS:SourceArn": distribution}},
    }
    read = {"Sid": "CdnReads", **by_cdn, "Action": "s3:GetObject", "Resource": f"{bucket}/*"}
    find = {"Sid": "CdnFinds", **by_cdn, "Action": "s3:ListBucket", "Resource": bucket}
    return json.dumps(policy_document(read, find, only_by_tls(bucket)))
