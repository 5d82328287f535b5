"""A WebSocket API for a chat room: connections in a table, one function for three routes, and a broad policy for the table."""

import json

import pulumi
import pulumi_aws as aws

table = aws.dynamodb.Table(
    "connections",
    attributes=[{"name": "connectionId", "type": "S"}],
    hash_key="connectionId",
    billing_mode="PAY_PER_REQUEST",
    ttl={"attribute_name": "expires", "enabled": True},
)
api = aws.apigatewayv2.Api("room", protocol_type="WEBSOCKET", route_selection_expression="$request.body.action")

role = aws.iam.Role(
    "room",
    assume_role_policy=json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}],
        }
    ),
    managed_policy_arns=[aws.iam.ManagedPolicy.AWS_LAMBDA_BASIC_EXECUTION_ROLE],
)
aws.iam.RolePolicy(
    "room",
    role=role.id,
    policy=pulumi.Output.json_dumps(
        {
            "Version": "2012-10-17",
            "Statement": [
                {"Effect": "Allow", "Action": "dynamodb:*", "Resource": table.arn},
                {
                    "Effect": "Allow",
                    "Action": "execute-api:ManageConnections",
                    "Resource": pulumi.Output.concat(api.execution_arn, "/*/*/@connections/*"),
                },
            ],
        }
    ),
)
function = aws.lambda_.Function(
    "room",
    runtime="nodejs22.x",
    handler="index.handler",
    role=role.arn,
    code=pulumi.AssetArchive({"index.js": pulumi.StringAsset("exports.handler = async () => ({ statusCode: 200 });")}),
    timeout=30,
    environment={"variables": {"TABLE": table.name}},
)
aws.lambda_.Permission(
    "room",
    action="lambda:InvokeFunction",
    function=function.arn,
    principal="apigateway.amazonaws.com",
    source_arn=api.execution_arn.apply(lambda arn: f"{arn}/*/*"),
)
integration = aws.apigatewayv2.Integration(
    "room", api_id=api.id, integration_type="AWS_PROXY", integration_uri=function.invoke_arn
)
routes = [
    aws.apigatewayv2.Route(
        f"room-{key.strip('$')}", api_id=api.id, route_key=key, target=pulumi.Output.concat("integrations/", integration.id)
    )
    for key in ("$connect", "$disconnect", "say")
]
stage = aws.apigatewayv2.Stage("live", api_id=api.id, name="live", auto_deploy=True)

pulumi.export("url", stage.invoke_url)
