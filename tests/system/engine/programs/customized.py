"""`customize` of a child of every kind that the components make."""

import json

import pulumi
import pulumi_aws as aws

import pulumi_llm

lists_models = {"Effect": "Allow", "Action": "bedrock:ListFoundationModels", "Resource": "*"}
edge = {"Sid": "Edge", "Effect": "Allow", "Principal": {"Service": "edgelambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
layer = aws.lambda_.LayerVersion("layer", layer_name="mine", code=pulumi.FileArchive(pulumi.Config().require("archive")))
chat = pulumi_llm.ServerlessBedrockApi(
    "chat",
    {
        "models": ["gpt-oss-20b"],
        "keys": [{"name": "web"}, {"name": "app"}],
        "environment": {"MINE": "1"},
        "parameter_prefix": "/llm/test",
        "tags": {"Base": "1"},
        "deletion_protection": False,
        "customize": {
            "function": {
                "layers": [layer.arn],
                "environment": {"variables": {"MORE": "1", "MINE": "2"}},
                "tags": {"Own": "y", "Base": {"$replace": "changed"}},
                "memorySize": 2048,
            },
            "role": {
                "assume_role_policy": {"Statement": [edge]},
                "permissions_boundary": "arn:aws:iam::123456789012:policy/boundary",
            },
            "bedrock-policy": {"policy": json.dumps({"Version": "2012-10-17", "Statement": lists_models})},
            "logs": {"retention_in_days": 90, "tags": {"$replace": {"Only": "this"}}},
            "access-logs": {"retention_in_days": 400},
            "keys-table": {"table_class": "STANDARD_INFREQUENT_ACCESS"},
            "key": {"description": "any"},
            "key:web": {"description": "web's"},
            "method:chat-stream": {"operation_name": "Stream"},
            "stage": {"variables": {"colour": "blue"}, "access_log_settings": {"format": "$context.requestId"}},
            "stage-settings": {"settings": {"throttling_rate_limit": 33}},
            "api": {"description": "mine", "minimum_compression_size": "1024"},
            "gateway-response": {"response_parameters": {"gatewayresponse.header.X-Mine": "'1'"}},
            "alias": {"description": "mine"},
            "authorizer": {"identity_validation_expression": "^.{20,}$"},
            "authorizer-function": {"memory_size": 1024},
            "parameter": {"tier": "Advanced"},
            "integration:chat": {"timeout_milliseconds": 20_000},
            "cors-response": {"response_parameters": {"method.response.header.Access-Control-Max-Age": "'600'"}},
            "usage-plan": {"throttle_settings": {"rate_limit": 9}},
            "validator": {"name": "mine"},
            "body-model": {"description": "mine"},
            "deployment": {"description": "mine"},
        },
    },
)
pulumi_llm.AccountBaseline(
    "account",
    {
        "bedrock_invocation_logs": True,
        "cost_anomalies": {"emails": ["ops@example.com"]},
        "customize": {
            "bedrock-logging": {"logging_config": {"text_data_delivery_enabled": False}},
            "anomaly-monitor": {"name": "mine"},
            "anomaly-emails": {"frequency": "WEEKLY"},
        },
    },
)
pulumi_llm.Observability(
    "watch",
    {"budget": {"monthly_usd": 5, "emails": ["ops@example.com"]}, "customize": {"budget": {"name": "mine"}}},
)
