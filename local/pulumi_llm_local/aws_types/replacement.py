"""Says which changes replace a resource rather than update it, and which resources must never be replaced.

For the stand-in providers that the engine runs against, so that a test notices an upgrade that would take a stack's
data, or an address that its callers have, away.
"""

import difflib
import re
from typing import Final

from pulumi_llm_local.aws_types.replacement_table import KUBERNETES_REPLACED_BY, REPLACED_BY

__all__ = ["REPLACED_BY", "STATEFUL", "forces_replacement"]

STATEFUL: Final = frozenset(
    {
        # What they hold is lost with them: items, objects, images, files, messages, logs, users, parameters.
        "aws:cloudfront/keyValueStore:KeyValueStore",
        "aws:cloudwatch/logGroup:LogGroup",
        "aws:cognito/userPool:UserPool",
        "aws:dynamodb/table:Table",
        "aws:ecr/repository:Repository",
        "aws:efs/fileSystem:FileSystem",
        "aws:s3/bucket:Bucket",
        "aws:s3/bucketV2:BucketV2",
        "aws:s3/vectorsIndex:VectorsIndex",
        "aws:s3/vectorsVectorBucket:VectorsVectorBucket",
        "aws:secretsmanager/secret:Secret",
        "aws:sqs/queue:Queue",
        "aws:ssm/parameter:Parameter",
        "kubernetes:core/v1:Namespace",
        "kubernetes:core/v1:PersistentVolume",
        "kubernetes:core/v1:PersistentVolumeClaim",
        # What they encrypted can't be read without them.
        "aws:kms/key:Key",
        # Their id is in an address that callers have: a URL, a DNS name, an IP address that a firewall lets through.
        "aws:apigateway/domainName:DomainName",
        "aws:apigateway/restApi:RestApi",
        "aws:apigateway/stage:Stage",
        "aws:apigatewayv2/api:Api",
        "aws:apigatewayv2/domainName:DomainName",
        "aws:apigatewayv2/stage:Stage",
        "aws:cloudfront/distribution:Distribution",
        "aws:cognito/userPoolDomain:UserPoolDomain",
        "aws:ec2/eip:Eip",
        "aws:lambda/functionUrl:FunctionUrl",
        "aws:lb/loadBalancer:LoadBalancer",
        "aws:route53/zone:Zone",
        # Callers have their id or their secret, and were given it by hand.
        "aws:apigateway/apiKey:ApiKey",
        "aws:bedrock/guardrail:Guardrail",
        "aws:bedrock/inferenceProfile:InferenceProfile",
        "aws:cloudfront/publicKey:PublicKey",
        "aws:cognito/userPoolClient:UserPoolClient",
        # What others joined or used up is counted in them: a topic's confirmed subscribers, the keys' quotas.
        "aws:apigateway/usagePlan:UsagePlan",
        "aws:sns/topic:Topic",
        # All that is in them goes too.
        "aws:ec2/vpc:Vpc",
        "aws:eks/cluster:Cluster",
    }
)
"""The types that hold data, or an identity that callers depend on: an upgrade must never replace one of them."""

_WITHOUT_REGION: Final = {"cloudfront", "iam", "route53"}
"""The services whose resources are in every Region at once."""

_INDEX: Final = re.compile(r'\[(?:"(?:[^"\\]|\\.)*"|[^\]]*)\]')


def forces_replacement(token: str, path: str) -> bool:
    """Say whether a change of a property of a resource replaces it.

    `token` is the resource's type, such as `aws:dynamodb/table:Table`; `path` is where the inputs differ, such as
    `attributes[0].name` or `tags.Owner`. What is said of a property holds for all that is below it, not for what is
    above it.

    Raises LookupError for an AWS type that the table lacks, and for a type of another package.
    """
    entries = _kubernetes(token) if token.startswith("kubernetes:") else _aws(token)
    names = _INDEX.sub("", path).split(".")
    return any(".".join(names[:end]) in entries for end in range(1, len(names) + 1))


def _aws(token: str) -> frozenset[str]:
    if token not in REPLACED_BY:
        near = difflib.get_close_matches(token, REPLACED_BY, n=1)
        raise LookupError(
            f"{token}: not known what replaces it; add the type to replacement_table.py, with no paths where nothing does"
            + (f" (or did you mean {near[0]!r}?)" if near else "")
        )
    service = token.split(":")[1].partition("/")[0]
    return REPLACED_BY[token] if service in _WITHOUT_REGION else REPLACED_BY[token] | {"region"}


def _kubernetes(token: str) -> frozenset[str]:
    """A kind that the table lacks has no property of its own that replaces it; a patch of an object never has one."""
    kind = token.removeprefix("kubernetes:")
    return KUBERNETES_REPLACED_BY.get(kind, frozenset()) | {"metadata.name", "metadata.namespace"}
