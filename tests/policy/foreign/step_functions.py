"""A state machine of two functions. Outputs everywhere: names, documents and settings are all made by apply, concat and all."""

import json
from typing import Any

import pulumi
import pulumi_aws as aws

stack = pulumi.Output.from_input(pulumi.get_stack())
tags = stack.apply(lambda name: {"Project": "transcode", "Environment": name, "Owner": "media"})
region = aws.get_region_output().region
account = aws.get_caller_identity_output().account_id


def trust(service: pulumi.Input[str]) -> pulumi.Output[str]:
    return pulumi.Output.json_dumps(
        {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Principal": {"Service": service},
                    "Action": "sts:AssumeRole",
                    "Condition": {"StringEquals": {"aws:SourceAccount": account}},
                }
            ],
        }
    )


function_role = aws.iam.Role(
    "functions",
    assume_role_policy=pulumi.Output.json_dumps(
        {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Principal": {"Service": pulumi.Output.concat("lambda", ".amazonaws.com")},
                    "Action": "sts:AssumeRole",
                }
            ],
        }
    ),
    tags=tags,
)
log_group = aws.cloudwatch.LogGroup(
    "transcode", name=pulumi.Output.concat("/aws/vendedlogs/states/", stack, "-transcode"), retention_in_days=30, tags=tags
)
aws.iam.RolePolicy(
    "functions",
    role=function_role.id,
    policy=pulumi.Output.all(region=region, account=account).apply(
        lambda args: json.dumps(
            {
                "Version": "2012-10-17",
                "Statement": [
                    {
                        "Effect": "Allow",
                        "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
                        "Resource": f"arn:aws:logs:{args['region']}:{args['account']}:log-group:/aws/lambda/*",
                    }
                ],
            }
        )
    ),
)


def step(name: str, **args: Any) -> aws.lambda_.Function:
    code = {"step.py": pulumi.StringAsset("def handler(event, context):\n    return event\n")}
    function = aws.lambda_.Function(
        name,
        runtime=pulumi.Output.from_input("python3.13"),
        handler="step.handler",
        role=function_role.arn,
        code=pulumi.AssetArchive(code),
        timeout=stack.apply(lambda value: 60 if value == "prod" else 30),
        tags=tags,
        **args,
    )
    aws.cloudwatch.LogGroup(name, name=pulumi.Output.concat("/aws/lambda/", function.name), retention_in_days=30, tags=tags)
    return function


probe, encode = step("probe"), step("encode", memory_size=stack.apply(lambda value: 1024 if value == "prod" else 512))
machine_role = aws.iam.Role("machine", assume_role_policy=trust("states.amazonaws.com"), tags=tags)
aws.iam.RolePolicy(
    "machine",
    role=machine_role.name,
    policy=pulumi.Output.json_dumps(
        {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Action": ["lambda:InvokeFunction"],
                    "Resource": [
                        probe.arn,
                        encode.arn,
                        pulumi.Output.concat(probe.arn, ":*"),
                        pulumi.Output.concat(encode.arn, ":*"),
                    ],
                },
                {
                    "Effect": "Allow",
                    "Action": [
                        "logs:CreateLogDelivery",
                        "logs:DeleteLogDelivery",
                        "logs:DescribeLogGroups",
                        "logs:DescribeResourcePolicies",
                        "logs:GetLogDelivery",
                        "logs:ListLogDeliveries",
                        "logs:PutResourcePolicy",
                        "logs:UpdateLogDelivery",
                    ],
                    "Resource": "*",
                },
            ],
        }
    ),
)
machine = aws.sfn.StateMachine(
    "transcode",
    role_arn=machine_role.arn,
    definition=pulumi.Output.json_dumps(
        {
            "StartAt": "Probe",
            "States": {
                "Probe": {"Type": "Task", "Resource": probe.arn, "Next": "Encode"},
                "Encode": {
                    "Type": "Task",
                    "Resource": encode.arn,
                    "Retry": [{"ErrorEquals": ["States.TaskFailed"], "MaxAttempts": 2}],
                    "End": True,
                },
            },
        }
    ),
    logging_configuration={
        "level": "ERROR",
        "include_execution_data": False,
        "log_destination": pulumi.Output.concat(log_group.arn, ":*"),
    },
    tags=tags,
)

pulumi.export("machine", machine.arn)
