"""Cognito."""

from collections.abc import Mapping
from typing import Final

from pulumi_llm_local.aws_types.aws_type import AwsType

TYPES: Final[Mapping[str, AwsType]] = {
    "aws:cognito/userPool:UserPool": AwsType(
        outputs={
            "id": "{region}_{lower9}",
            "arn": "arn:{partition}:cognito-idp:{region}:{account}:userpool/{id}",
            "endpoint": "cognito-idp.{region}.{dns_suffix}/{id}",
        },
        api="cognito-idp CreateUserPool",
        replaced_by="aliasAttributes name usernameAttributes usernameConfiguration.caseSensitive",
        stateful="its users are lost with it",
        deletion_protection=("deletionProtection", "ACTIVE"),
    ),
    "aws:cognito/userPoolClient:UserPoolClient": AwsType(
        outputs={"id": "{lower26}"},
        api="cognito-idp CreateUserPoolClient",
        replaced_by="generateSecret userPoolId",
        stateful="callers were given its id and secret by hand",
    ),
    "aws:cognito/userPoolDomain:UserPoolDomain": AwsType(
        outputs={"id": "{domain}"},
        api="cognito-idp CreateUserPoolDomain",
        replaced_by="domain userPoolId",
        stateful="callers have its address",
    ),
}
