"""A Lambda function behind a REST API: one proxy resource that takes everything, a stage, and the permission to call."""

import json

import pulumi
import pulumi_aws as aws

CODE = """
def handler(event, context):
    return {"statusCode": 200, "body": "hello"}
"""

role = aws.iam.Role(
    "lambda-role",
    assume_role_policy=json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": [
                {"Action": "sts:AssumeRole", "Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}},
            ],
        }
    ),
)
aws.iam.RolePolicyAttachment(
    "lambda-basic", role=role.name, policy_arn="arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"
)

function = aws.lambda_.Function(
    "hello",
    runtime="python3.13",
    role=role.arn,
    handler="index.handler",
    code=pulumi.AssetArchive({"index.py": pulumi.StringAsset(CODE)}),
)

api = aws.apigateway.RestApi("api", description="Says hello")
proxy = aws.apigateway.Resource("proxy", rest_api=api.id, parent_id=api.root_resource_id, path_part="{proxy+}")
method = aws.apigateway.Method("any", rest_api=api.id, resource_id=proxy.id, http_method="ANY", authorization="NONE")
integration = aws.apigateway.Integration(
    "any",
    rest_api=api.id,
    resource_id=proxy.id,
    http_method=method.http_method,
    integration_http_method="POST",
    type="AWS_PROXY",
    uri=function.invoke_arn,
)
deployment = aws.apigateway.Deployment(
    "api",
    rest_api=api.id,
    triggers={"integration": integration.id},
    opts=pulumi.ResourceOptions(depends_on=[method, integration]),
)
stage = aws.apigateway.Stage("dev", rest_api=api.id, deployment=deployment.id, stage_name="dev")
aws.lambda_.Permission(
    "from-api",
    action="lambda:InvokeFunction",
    function=function.name,
    principal="apigateway.amazonaws.com",
    source_arn=pulumi.Output.concat(api.execution_arn, "/*/*"),
)

pulumi.export("url", stage.invoke_url)
