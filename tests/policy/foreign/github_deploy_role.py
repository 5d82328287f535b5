"""A role that GitHub's workflows of one repository take, without keys; all documents are made by getPolicyDocument."""

import pulumi
import pulumi_aws as aws

config = pulumi.Config()
repository = config.get("repository") or "acme/shop"
tags = {"Project": "shop", "Environment": "prod", "Owner": "release"}
partition = aws.get_partition().partition

github = aws.iam.OpenIdConnectProvider(
    "github",
    url="https://token.actions.githubusercontent.com",
    client_id_lists=["sts.amazonaws.com"],
    thumbprint_lists=["6938fd4d98bab03faadb97b34396831e3780aea1"],
    tags=tags,
)
trust = aws.iam.get_policy_document_output(
    statements=[
        {
            "actions": ["sts:AssumeRoleWithWebIdentity"],
            "principals": [{"type": "Federated", "identifiers": [github.arn]}],
            "conditions": [
                {
                    "test": "StringEquals",
                    "variable": "token.actions.githubusercontent.com:aud",
                    "values": ["sts.amazonaws.com"],
                },
                {
                    "test": "StringLike",
                    "variable": "token.actions.githubusercontent.com:sub",
                    "values": [f"repo:{repository}:ref:refs/heads/main", f"repo:{repository}:environment:prod"],
                },
            ],
        }
    ]
)
role = aws.iam.Role("deploy", assume_role_policy=trust.json, max_session_duration=3600, tags=tags)

site = aws.s3.Bucket("shop", tags=tags)
aws.s3.BucketPublicAccessBlock(
    "shop",
    bucket=site.id,
    block_public_acls=True,
    block_public_policy=True,
    ignore_public_acls=True,
    restrict_public_buckets=True,
)
tls_only = aws.iam.get_policy_document_output(
    statements=[
        {
            "sid": "TlsOnly",
            "effect": "Deny",
            "actions": ["s3:*"],
            "principals": [{"type": "*", "identifiers": ["*"]}],
            "resources": [site.arn, site.arn.apply(lambda arn: f"{arn}/*")],
            "conditions": [{"test": "Bool", "variable": "aws:SecureTransport", "values": ["false"]}],
        }
    ]
)
aws.s3.BucketPolicy("shop", bucket=site.id, policy=tls_only.json)

permissions = aws.iam.get_policy_document_output(
    statements=[
        {"sid": "List", "actions": ["s3:ListBucket"], "resources": [site.arn]},
        {
            "sid": "Sync",
            "actions": ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"],
            "resources": [pulumi.Output.concat(site.arn, "/*")],
        },
        {
            "sid": "Invalidate",
            "actions": ["cloudfront:CreateInvalidation"],
            "resources": [f"arn:{partition}:cloudfront::123456789012:distribution/E1A2B3C4D5E6F7"],
        },
    ]
)
policy = aws.iam.Policy("deploy", policy=permissions.json, tags=tags)
aws.iam.RolePolicyAttachment("deploy", role=role.name, policy_arn=policy.arn)

pulumi.export("role", role.arn)
