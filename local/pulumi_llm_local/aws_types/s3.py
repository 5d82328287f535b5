"""S3 and S3 Vectors."""

from collections.abc import Mapping
from typing import Any, Final

from pulumi_llm_local.aws_types.aws_type import AWS_DOCS, PROVIDER_DOCS, AwsType, ValueRule
from pulumi_llm_local.aws_types.draft import CREATED

_DOCS: Final = AWS_DOCS + "AmazonS3/latest/"
_ACLS: Final = ValueRule(  # the model lacks the last two
    _DOCS + "userguide/acl-overview.html",
    values=("private", "public-read", "public-read-write", "authenticated-read", "aws-exec-read", "log-delivery-write"),
)
_BUCKET_ID: Final = {"id": "{bucket}"}


def _lower_case(name: str, inputs: Mapping[str, Any]) -> str:
    return name.lower()


TYPES: Final[Mapping[str, AwsType]] = {
    "aws:s3/bucket:Bucket": AwsType(
        # The website's address stands even where no website is configured.
        outputs={
            "id": "{bucket}",
            "arn": "arn:{partition}:s3:::{bucket}",
            "bucketDomainName": "{bucket}.s3.{dns_suffix}",
            "bucketRegion": "{region}",
            "bucketRegionalDomainName": "{bucket}.s3.{region}.{dns_suffix}",
            "hostedZoneId": "Z{zone.upper13}",
            "websiteDomain": "s3-website-{region}.{dns_suffix}",
            "websiteEndpoint": "{bucket}.{websiteDomain}",
        },
        # bucketNamespace is newer than 5.100: S3 takes it with CreateBucket alone.
        replaced_by="bucket bucketNamespace bucketPrefix objectLockConfiguration.objectLockEnabled objectLockEnabled",
        stateful="its objects are lost with it",
        name_property="bucket",
        adapt_name=_lower_case,
        rules={
            "acl": _ACLS,
            "bucket": ValueRule(
                _DOCS + "userguide/bucketnamingrules.html", low=3, high=63, pattern="[a-z0-9][a-z0-9.-]*[a-z0-9]"
            ),
        },
    ),
    "aws:s3/bucketAcl:BucketAcl": AwsType(outputs=_BUCKET_ID, replaced_by="bucket expectedBucketOwner", rules={"acl": _ACLS}),
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": AwsType(
        outputs=_BUCKET_ID,
        replaced_by="bucket expectedBucketOwner",
        api="s3 PutBucketLifecycleConfiguration PutBucketLifecycleConfiguration.LifecycleConfiguration",
    ),
    "aws:s3/bucketNotification:BucketNotification": AwsType(
        outputs=_BUCKET_ID,
        replaced_by="bucket",
        api="s3 PutBucketNotificationConfiguration.NotificationConfiguration",
        rules={
            "lambdaFunctions": ValueRule(
                _DOCS + "API/API_NotificationConfiguration.html", member="LambdaFunctionConfigurations"
            ),
            "queues": ValueRule(_DOCS + "API/API_NotificationConfiguration.html", member="QueueConfigurations"),
            "topics": ValueRule(_DOCS + "API/API_NotificationConfiguration.html", member="TopicConfigurations"),
        },
    ),
    "aws:s3/bucketObjectv2:BucketObjectv2": AwsType(
        outputs={
            "id": "{bucket}/{key}",
            "arn": "arn:{partition}:s3:::{bucket}/{key}",
            "etag": "{hex32}",
            "versionId": "{lower32}",
        },
        replaced_by="bucket key",
        api="s3 PutObject",
    ),
    "aws:s3/bucketOwnershipControls:BucketOwnershipControls": AwsType(
        outputs=_BUCKET_ID, replaced_by="bucket", api="s3 PutBucketOwnershipControls.OwnershipControls"
    ),
    "aws:s3/bucketPolicy:BucketPolicy": AwsType(outputs=_BUCKET_ID, replaced_by="bucket"),
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": AwsType(outputs=_BUCKET_ID, replaced_by="bucket"),
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": AwsType(
        outputs=_BUCKET_ID,
        replaced_by="bucket expectedBucketOwner",
        api="s3 PutBucketEncryption.ServerSideEncryptionConfiguration",
    ),
    "aws:s3/bucketVersioning:BucketVersioning": AwsType(
        outputs=_BUCKET_ID,
        replaced_by="bucket expectedBucketOwner",
        rules={  # Disabled is the provider's, for a bucket that never had versions
            "versioningConfiguration.status": ValueRule(
                PROVIDER_DOCS + "s3/bucketversioning/", values=("Enabled", "Suspended", "Disabled")
            )
        },
    ),
    "aws:s3/bucketWebsiteConfiguration:BucketWebsiteConfiguration": AwsType(
        outputs={
            "id": "{bucket}",
            "websiteDomain": "s3-website-{region}.{dns_suffix}",
            "websiteEndpoint": "{bucket}.{websiteDomain}",
        },
        replaced_by="bucket expectedBucketOwner",
        api="s3 PutBucketWebsite.WebsiteConfiguration",
    ),
    "aws:s3/vectorsIndex:VectorsIndex": AwsType(
        outputs={
            "id": "{indexArn}",
            "indexArn": "arn:{partition}:s3vectors:{region}:{account}:bucket/{vectorBucketName}/index/{indexName}",
            "creationTime": CREATED,
        },
        # S3 Vectors: the source of provider 6 and CloudFormation.
        replaced_by=(
            "dataType dimension distanceMetric encryptionConfigurations indexName metadataConfiguration vectorBucketName"
        ),
        stateful="its vectors are lost with it",
        api="s3vectors CreateIndex",
    ),
    "aws:s3/vectorsVectorBucket:VectorsVectorBucket": AwsType(
        outputs={
            "id": "{vectorBucketArn}",
            "vectorBucketArn": "arn:{partition}:s3vectors:{region}:{account}:bucket/{vectorBucketName}",
            "creationTime": CREATED,
        },
        replaced_by="encryptionConfigurations vectorBucketName",
        stateful="its vectors are lost with it",
        api="s3vectors CreateVectorBucket",
    ),
}
