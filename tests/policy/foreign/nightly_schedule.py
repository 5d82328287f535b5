"""A function that an EventBridge rule starts each night, and a schedule that starts another one, with a queue for failures."""

import json

import pulumi
import pulumi_aws as aws

CODE = pulumi.AssetArchive({"main.py": pulumi.StringAsset("def run(event, context):\n    print('done')\n")})


def trust(service: str) -> str:
    statement = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


role = aws.iam.Role("nightly", assume_role_policy=trust("lambda.amazonaws.com"))
aws.iam.RolePolicyAttachment("nightly-logs", role=role.name, policy_arn=aws.iam.ManagedPolicy.AWS_LAMBDA_BASIC_EXECUTION_ROLE)
cleanup = aws.lambda_.Function("cleanup", runtime="python3.12", handler="main.run", role=role.arn, code=CODE, timeout=300)
report = aws.lambda_.Function("report", runtime="python3.9", handler="main.run", role=role.arn, code=CODE, timeout=900)

rule = aws.cloudwatch.EventRule("nightly", schedule_expression="cron(0 3 * * ? *)")
aws.cloudwatch.EventTarget("nightly", rule=rule.name, arn=cleanup.arn)
aws.lambda_.Permission(
    "nightly", action="lambda:InvokeFunction", function=cleanup.name, principal="events.amazonaws.com", source_arn=rule.arn
)

failed = aws.sqs.Queue("report-failed")
caller = aws.iam.Role("report-schedule", assume_role_policy=trust("scheduler.amazonaws.com"))
aws.iam.RolePolicy(
    "report-schedule",
    role=caller.id,
    policy=pulumi.Output.json_dumps(
        {
            "Version": "2012-10-17",
            "Statement": [
                {"Effect": "Allow", "Action": "lambda:InvokeFunction", "Resource": report.arn},
                {"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": failed.arn},
            ],
        }
    ),
)
aws.scheduler.Schedule(
    "report",
    schedule_expression="cron(30 6 ? * MON-FRI *)",
    schedule_expression_timezone="Europe/Berlin",
    flexible_time_window={"mode": "FLEXIBLE", "maximum_window_in_minutes": 15},
    target={
        "arn": report.arn,
        "role_arn": caller.arn,
        "dead_letter_config": {"arn": failed.arn},
        "retry_policy": {"maximum_retry_attempts": 2},
    },
)
