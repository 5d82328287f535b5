"""A chat API, and on it a route of one's own: GET /orders/{id}, for callers with the same keys."""

import json
from pathlib import Path

import pulumi
import pulumi_aws as aws

import pulumi_llm

tags = {"Project": pulumi.get_project(), "Environment": pulumi.get_stack(), "Owner": "shop", "ManagedBy": "Pulumi"}

trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
role = aws.iam.Role("orders", assume_role_policy=json.dumps({"Version": "2012-10-17", "Statement": [trust]}), tags=tags)
logs = aws.cloudwatch.LogGroup("orders", retention_in_days=30, tags=tags)
streams = pulumi.Output.format("{}:*", logs.arn)
write = {"Effect": "Allow", "Action": ["logs:CreateLogStream", "logs:PutLogEvents"], "Resource": streams}
document = pulumi.Output.json_dumps({"Version": "2012-10-17", "Statement": [write]})
policy = aws.iam.RolePolicy("orders", role=role.id, policy=document)
orders = aws.lambda_.Function(
    "orders",
    role=role.arn,
    runtime="python3.13",
    handler="orders.handler",
    code=pulumi.FileArchive(str(Path(__file__).with_name("code"))),
    logging_config={"log_format": "JSON", "log_group": logs.name},
    tags=tags,
    opts=pulumi.ResourceOptions(depends_on=[policy]),
)

chat = pulumi_llm.ServerlessBedrockApi(
    "chat",
    {
        "models": [{"name": "fast", "model": "gpt-oss-20b"}],
        "cors_allow_origin": ["https://shop.example.com", "https://www.example.com"],
        "routes": [{"method": "GET", "path": "/orders/{id}", "function_arn": orders.arn}],
        "tags": tags,
    },
)

pulumi.export("api_gateway_url", chat.url)
pulumi.export("api_key_value", chat.default_api_key)
