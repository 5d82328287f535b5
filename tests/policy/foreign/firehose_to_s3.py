"""Clicks through a Kinesis stream and Firehose into a bucket, compressed, by date; all is encrypted with a key of its own."""

import json

import pulumi
import pulumi_aws as aws

tags = {"Project": "clicks", "Environment": "prod", "Owner": "analytics"}
key = aws.kms.Key("clicks", description="Clicks at rest", enable_key_rotation=True, deletion_window_in_days=14, tags=tags)
stream = aws.kinesis.Stream(
    "clicks",
    stream_mode_details={"stream_mode": "ON_DEMAND"},
    retention_period=48,
    encryption_type="KMS",
    kms_key_id=key.arn,
    tags=tags,
)

bucket = aws.s3.Bucket("clicks", tags=tags)
private = aws.s3.BucketPublicAccessBlock(
    "clicks",
    bucket=bucket.id,
    block_public_acls=True,
    block_public_policy=True,
    ignore_public_acls=True,
    restrict_public_buckets=True,
)
aws.s3.BucketServerSideEncryptionConfiguration(
    "clicks",
    bucket=bucket.id,
    rules=[
        {
            "apply_server_side_encryption_by_default": {"sse_algorithm": "aws:kms", "kms_master_key_id": key.arn},
            "bucket_key_enabled": True,
        }
    ],
)
aws.s3.BucketLifecycleConfiguration(
    "clicks",
    bucket=bucket.id,
    rules=[
        {
            "id": "cool-then-expire",
            "status": "Enabled",
            "filter": {"prefix": "clicks/"},
            "transitions": [{"days": 30, "storage_class": "STANDARD_IA"}],
            "expiration": {"days": 365},
        }
    ],
)

logs = aws.cloudwatch.LogGroup("clicks", name="/aws/kinesisfirehose/clicks", retention_in_days=30, tags=tags)
log_stream = aws.cloudwatch.LogStream("clicks", log_group_name=logs.name)
trust = {"Effect": "Allow", "Principal": {"Service": "firehose.amazonaws.com"}, "Action": "sts:AssumeRole"}
role = aws.iam.Role("firehose", assume_role_policy=json.dumps({"Version": "2012-10-17", "Statement": [trust]}), tags=tags)


def statement(resource: pulumi.Input[object], *actions: str) -> dict[str, object]:
    return {"Effect": "Allow", "Action": list(actions), "Resource": resource}


aws.iam.RolePolicy(
    "firehose",
    role=role.id,
    policy=pulumi.Output.json_dumps(
        {
            "Version": "2012-10-17",
            "Statement": [
                statement(bucket.arn, "s3:GetBucketLocation", "s3:ListBucket", "s3:ListBucketMultipartUploads"),
                statement(bucket.arn.apply(lambda arn: f"{arn}/*"), "s3:AbortMultipartUpload", "s3:GetObject", "s3:PutObject"),
                statement(stream.arn, "kinesis:DescribeStream", "kinesis:GetShardIterator", "kinesis:GetRecords"),
                statement(key.arn, "kms:Decrypt", "kms:GenerateDataKey"),
                statement(pulumi.Output.concat(logs.arn, ":*"), "logs:PutLogEvents"),
            ],
        }
    ),
)
delivery = aws.kinesis.FirehoseDeliveryStream(
    "clicks",
    destination="extended_s3",
    kinesis_source_configuration={"kinesis_stream_arn": stream.arn, "role_arn": role.arn},
    extended_s3_configuration={
        "bucket_arn": bucket.arn,
        "role_arn": role.arn,
        "prefix": "clicks/year=!{timestamp:yyyy}/month=!{timestamp:MM}/day=!{timestamp:dd}/",
        "error_output_prefix": "failed/!{firehose:error-output-type}/",
        "buffering_size": 64,
        "buffering_interval": 300,
        "compression_format": "GZIP",
        "kms_key_arn": key.arn,
        "cloudwatch_logging_options": {"enabled": True, "log_group_name": logs.name, "log_stream_name": log_stream.name},
    },
    tags=tags,
)

pulumi.export("stream", stream.name)
