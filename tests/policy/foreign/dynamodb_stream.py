"""A DynamoDB table whose stream a function reads, to keep totals in a second table; a first draft, without tags or alarms."""

import json

import pulumi
import pulumi_aws as aws

orders = aws.dynamodb.Table(
    "orders",
    attributes=[{"name": "customer", "type": "S"}, {"name": "created", "type": "N"}],
    hash_key="customer",
    range_key="created",
    read_capacity=5,
    write_capacity=5,
    stream_enabled=True,
    stream_view_type="NEW_AND_OLD_IMAGES",
)
totals = aws.dynamodb.Table(
    "totals",
    attributes=[{"name": "customer", "type": "S"}],
    hash_key="customer",
    billing_mode="PAY_PER_REQUEST",
    server_side_encryption={"enabled": True},
    point_in_time_recovery={"enabled": True},
)
role = aws.iam.Role(
    "totals",
    assume_role_policy=json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"},
        }
    ),
)


def policy(args: list[str]) -> str:
    stream, table = args
    return json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Action": [
                        "dynamodb:DescribeStream",
                        "dynamodb:GetRecords",
                        "dynamodb:GetShardIterator",
                        "dynamodb:ListStreams",
                    ],
                    "Resource": stream,
                },
                {"Effect": "Allow", "Action": ["dynamodb:GetItem", "dynamodb:UpdateItem"], "Resource": table},
                {
                    "Effect": "Allow",
                    "Action": ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"],
                    "Resource": "*",
                },
            ],
        }
    )


aws.iam.RolePolicy("totals", role=role.name, policy=pulumi.Output.all(orders.stream_arn, totals.arn).apply(policy))
function = aws.lambda_.Function(
    "totals",
    runtime="python3.13",
    handler="totals.handler",
    role=role.arn,
    code=pulumi.AssetArchive({"totals.py": pulumi.StringAsset("def handler(event, context):\n    pass\n")}),
    environment={"variables": {"TOTALS_TABLE": totals.name}},
)
aws.lambda_.EventSourceMapping(
    "totals",
    event_source_arn=orders.stream_arn,
    function_name=function.arn,
    starting_position="LATEST",
    batch_size=100,
    maximum_retry_attempts=3,
    bisect_batch_on_function_error=True,
)

pulumi.export("orders", orders.name)
