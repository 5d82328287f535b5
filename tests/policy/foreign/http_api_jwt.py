"""An HTTP API whose routes want a token of a Cognito user pool; well kept: tags, logs with retention, throttling, CORS."""

import json

import pulumi
import pulumi_aws as aws

tags = {"Project": "notes", "Environment": pulumi.get_stack(), "Owner": "web"}
region = aws.get_region()

pool = aws.cognito.UserPool(
    "users",
    password_policy={
        "minimum_length": 12,
        "require_lowercase": True,
        "require_numbers": True,
        "require_symbols": True,
        "require_uppercase": True,
    },
    deletion_protection="ACTIVE",
    tags=tags,
)
client = aws.cognito.UserPoolClient(
    "web", user_pool_id=pool.id, generate_secret=False, explicit_auth_flows=["ALLOW_USER_SRP_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"]
)

trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
role = aws.iam.Role("notes", assume_role_policy=json.dumps({"Version": "2012-10-17", "Statement": [trust]}), tags=tags)
function_logs = aws.cloudwatch.LogGroup("notes", retention_in_days=30, tags=tags)
aws.iam.RolePolicy(
    "notes-logs",
    role=role.id,
    policy=function_logs.arn.apply(
        lambda arn: json.dumps(
            {
                "Version": "2012-10-17",
                "Statement": [
                    {"Effect": "Allow", "Action": ["logs:CreateLogStream", "logs:PutLogEvents"], "Resource": f"{arn}:*"}
                ],
            }
        )
    ),
)
function = aws.lambda_.Function(
    "notes",
    runtime=aws.lambda_.Runtime.NODE_JS22D_X,
    architectures=["arm64"],
    handler="index.handler",
    code=pulumi.AssetArchive({"index.mjs": pulumi.StringAsset("export const handler = async () => ({statusCode: 204})")}),
    role=role.arn,
    timeout=10,
    memory_size=256,
    reserved_concurrent_executions=20,
    logging_config={"log_format": "JSON", "log_group": function_logs.name},
    tracing_config={"mode": "Active"},
    tags=tags,
)

api = aws.apigatewayv2.Api(
    "notes",
    protocol_type="HTTP",
    cors_configuration={
        "allow_origins": ["https://notes.example.com"],
        "allow_methods": ["GET", "POST"],
        "allow_headers": ["authorization", "content-type"],
    },
    tags=tags,
)
authorizer = aws.apigatewayv2.Authorizer(
    "jwt",
    api_id=api.id,
    authorizer_type="JWT",
    identity_sources=["$request.header.Authorization"],
    jwt_configuration={
        "audiences": [client.id],
        "issuer": pulumi.Output.format("https://cognito-idp.{0}.amazonaws.com/{1}", region.region, pool.id),
    },
)
integration = aws.apigatewayv2.Integration(
    "notes", api_id=api.id, integration_type="AWS_PROXY", integration_uri=function.arn, payload_format_version="2.0"
)
for key in ("GET /notes", "POST /notes"):
    aws.apigatewayv2.Route(
        key.lower().replace(" /", "-"),
        api_id=api.id,
        route_key=key,
        authorization_type="JWT",
        authorizer_id=authorizer.id,
        target=integration.id.apply("integrations/{}".format),
    )
access_logs = aws.cloudwatch.LogGroup("notes-access", retention_in_days=30, tags=tags)
aws.apigatewayv2.Stage(
    "default",
    api_id=api.id,
    name="$default",
    auto_deploy=True,
    access_log_settings={
        "destination_arn": access_logs.arn,
        "format": json.dumps({"requestId": "$context.requestId", "status": "$context.status", "route": "$context.routeKey"}),
    },
    default_route_settings={"throttling_burst_limit": 50, "throttling_rate_limit": 25},
    tags=tags,
)
aws.lambda_.Permission(
    "notes",
    action="lambda:InvokeFunction",
    function=function.name,
    principal="apigateway.amazonaws.com",
    source_arn=pulumi.Output.concat(api.execution_arn, "/*/*/notes"),
)

pulumi.export("url", api.api_endpoint)
