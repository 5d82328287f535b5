"""A chat function that calls a Bedrock model, open to the world by its function URL: the quickest way to a demo."""

import json

import pulumi
import pulumi_aws as aws

CODE = """
import json, os
import boto3

bedrock = boto3.client("bedrock-runtime")


def handler(event, context):
    prompt = json.loads(event["body"])["prompt"]
    answer = bedrock.converse(
        modelId=os.environ["MODEL_ID"], messages=[{"role": "user", "content": [{"text": prompt}]}]
    )
    return {"statusCode": 200, "body": answer["output"]["message"]["content"][0]["text"]}
"""

role = aws.iam.Role(
    "chatbot",
    assume_role_policy=json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}],
        }
    ),
)
aws.iam.RolePolicyAttachment("logs", role=role.name, policy_arn=aws.iam.ManagedPolicy.AWS_LAMBDA_BASIC_EXECUTION_ROLE)
aws.iam.RolePolicy(
    "bedrock",
    role=role.id,
    policy=json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Action": ["bedrock:InvokeModel", "bedrock:InvokeModelWithResponseStream"],
                    "Resource": "*",
                }
            ],
        }
    ),
)
function = aws.lambda_.Function(
    "chatbot",
    runtime="python3.13",
    handler="app.handler",
    role=role.arn,
    code=pulumi.AssetArchive({"app.py": pulumi.StringAsset(CODE)}),
    timeout=60,
    memory_size=512,
    environment={"variables": {"MODEL_ID": "anthropic.claude-3-haiku-20240307-v1:0"}},
)
url = aws.lambda_.FunctionUrl(
    "chatbot",
    function_name=function.name,
    authorization_type="NONE",
    cors={"allow_origins": ["*"], "allow_methods": ["POST"], "max_age": 86400},
)

pulumi.export("url", url.function_url)
