"""A user pool with a hosted login page and an identity pool, which gives guests and users roles for a bucket of uploads."""

import json

import pulumi
import pulumi_aws as aws

pool = aws.cognito.UserPool(
    "users",
    username_attributes=["email"],
    auto_verified_attributes=["email"],
    password_policy={"minimum_length": 8, "require_lowercase": True, "require_numbers": True},
    account_recovery_setting={"recovery_mechanisms": [{"name": "verified_email", "priority": 1}]},
)
client = aws.cognito.UserPoolClient(
    "spa",
    user_pool_id=pool.id,
    allowed_oauth_flows=["implicit"],
    allowed_oauth_flows_user_pool_client=True,
    allowed_oauth_scopes=["email", "openid"],
    callback_urls=["http://localhost:3000/callback"],
    supported_identity_providers=["COGNITO"],
)
domain = aws.cognito.UserPoolDomain("login", domain="acme-login-demo", user_pool_id=pool.id)
identities = aws.cognito.IdentityPool(
    "identities",
    identity_pool_name="acme demo",
    allow_unauthenticated_identities=True,
    cognito_identity_providers=[{"client_id": client.id, "provider_name": pool.endpoint, "server_side_token_check": False}],
)
uploads = aws.s3.Bucket("uploads", force_destroy=True)


def role(name: str, amr: str, actions: list[str]) -> aws.iam.Role:
    made = aws.iam.Role(
        name,
        assume_role_policy=identities.id.apply(
            lambda pool_id: json.dumps(
                {
                    "Version": "2012-10-17",
                    "Statement": [
                        {
                            "Effect": "Allow",
                            "Principal": {"Federated": "cognito-identity.amazonaws.com"},
                            "Action": "sts:AssumeRoleWithWebIdentity",
                            "Condition": {
                                "StringEquals": {"cognito-identity.amazonaws.com:aud": pool_id},
                                "ForAnyValue:StringLike": {"cognito-identity.amazonaws.com:amr": amr},
                            },
                        }
                    ],
                }
            )
        ),
    )
    resource = pulumi.Output.concat(uploads.arn, "/${cognito-identity.amazonaws.com:sub}/*")
    aws.iam.RolePolicy(
        name,
        role=made.id,
        policy=pulumi.Output.json_dumps(
            {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": actions, "Resource": resource}]}
        ),
    )
    return made


aws.cognito.IdentityPoolRoleAttachment(
    "roles",
    identity_pool_id=identities.id,
    roles={
        "authenticated": role("users", "authenticated", ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"]).arn,
        "unauthenticated": role("guests", "unauthenticated", ["s3:GetObject"]).arn,
    },
)

pulumi.export("login", pulumi.Output.concat("https://", domain.domain, ".auth.us-east-1.amazoncognito.com"))
