"""A chat API, and on it a route of one's own: GET /orders/{id}, for callers with the same keys."""

import json
from pathlib import Path

import pulumi
import pulumi_aws as aws

import pulumi_llm

trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
role = aws.iam.Role("orders", assume_role_policy=json.dumps({"Version": "2012-10-17", "Statement": [trust]}))
orders = aws.lambda_.Function(
    "orders",
    role=role.arn,
    runtime="python3.13",
    handler="orders.handler",
    code=pulumi.FileArchive(str(Path(__file__).with_name("code"))),
)

chat = pulumi_llm.ServerlessBedrockApi(
    "chat",
    {
        "models": [{"name": "fast", "model": "gpt-oss-20b"}],
        "cors_allow_origin": ["https://shop.example.com", "https://www.example.com"],
        "routes": [{"method": "GET", "path": "/orders/{id}", "function_arn": orders.arn}],
        "tags": {"Project": pulumi.get_project(), "Environment": pulumi.get_stack()},
    },
)

pulumi.export("api_gateway_url", chat.url)
pulumi.export("api_key_value", chat.default_api_key)
