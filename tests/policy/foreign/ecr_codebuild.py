"""An image repository and the CodeBuild project that builds into it; its role may do far more than it needs."""

import json

import pulumi
import pulumi_aws as aws

account = aws.get_caller_identity().account_id
repository = aws.ecr.Repository("app", force_delete=True)
aws.ecr.LifecyclePolicy(
    "app",
    repository=repository.name,
    policy=json.dumps(
        {
            "rules": [
                {
                    "rulePriority": 1,
                    "selection": {
                        "tagStatus": "untagged",
                        "countType": "sinceImagePushed",
                        "countUnit": "days",
                        "countNumber": 7,
                    },
                    "action": {"type": "expire"},
                }
            ]
        }
    ),
)
artifacts = aws.s3.Bucket("artifacts")
role = aws.iam.Role(
    "build",
    assume_role_policy=json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": [{"Effect": "Allow", "Principal": {"Service": "codebuild.amazonaws.com"}, "Action": "sts:AssumeRole"}],
        }
    ),
)
aws.iam.RolePolicy(
    "build",
    role=role.id,
    policy=json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": [
                {"Effect": "Allow", "Action": ["ecr:*", "logs:*"], "Resource": "*"},
                {"Effect": "Allow", "Action": ["s3:GetObject", "s3:PutObject"], "Resource": "arn:aws:s3:::*"},
            ],
        }
    ),
)
project = aws.codebuild.Project(
    "app",
    service_role=role.arn,
    artifacts={"type": "S3", "location": artifacts.bucket},
    source={
        "type": "GITHUB",
        "location": "https://github.com/acme/app.git",
        "git_clone_depth": 1,
        "buildspec": "buildspec.yml",
    },
    environment={
        "compute_type": "BUILD_GENERAL1_SMALL",
        "image": "aws/codebuild/amazonlinux2-x86_64-standard:5.0",
        "type": "LINUX_CONTAINER",
        "privileged_mode": True,
        "environment_variables": [
            {"name": "REPOSITORY_NAME", "value": repository.name},
            {"name": "AWS_ACCOUNT_ID", "value": account},
            {"name": "DOCKERHUB_PASSWORD", "value": "hunter2-but-longer"},
        ],
    },
)
aws.codebuild.Webhook("app", project_name=project.name, filter_groups=[{"filters": [{"type": "EVENT", "pattern": "PUSH"}]}])

pulumi.export("repository", repository.repository_url)
