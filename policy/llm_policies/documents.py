"""Policy documents wherever a resource has one: found, parsed, and read statement by statement.

A document is JSON text or an object; at a preview all of a text is unknown as soon as a part of it is, whereas an object may
have unknown parts. Both are read as a `Value`, so that what is not known yet is said to be so.
"""

import functools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Final, Literal

from llm_policies.actions import matches
from llm_policies.conditions import Condition, Purpose, is_named
from llm_policies.rule import STRINGS, Resource, Setting
from llm_policies.values import State, Value, each

Kind = Literal["identity", "trust", "resource", "limit"]
"""What a document does: it allows a role, user or group something; says who may assume a role or use a resource; or limits."""

PLACES: Final[Mapping[str, tuple[tuple[Kind, str], ...]]] = {
    "aws:iam/groupPolicy:GroupPolicy": (("identity", "policy"),),
    "aws:iam/policy:Policy": (("identity", "policy"),),
    "aws:iam/role:Role": (("trust", "assumeRolePolicy"), ("identity", "inlinePolicies[].policy")),
    "aws:iam/rolePolicy:RolePolicy": (("identity", "policy"),),
    "aws:iam/userPolicy:UserPolicy": (("identity", "policy"),),
    "aws:ssoadmin/permissionSetInlinePolicy:PermissionSetInlinePolicy": (("identity", "inlinePolicy"),),
    "aws:ec2/vpcEndpoint:VpcEndpoint": (("limit", "policy"),),
    "aws:ec2/vpcEndpointPolicy:VpcEndpointPolicy": (("limit", "policy"),),
    "aws:eks/podIdentityAssociation:PodIdentityAssociation": (("limit", "policy"),),
    "aws:rolesanywhere/profile:Profile": (("limit", "sessionPolicy"),),
    "aws:transfer/user:User": (("limit", "policy"),),
    **{
        token: (("resource", path),)
        for path, tokens in {
            "policy": (
                "aws:acmpca/policy:Policy",
                "aws:apigateway/restApi:RestApi",
                "aws:apigateway/restApiPolicy:RestApiPolicy",
                "aws:backup/vaultPolicy:VaultPolicy",
                "aws:bedrock/agentcoreResourcePolicy:AgentcoreResourcePolicy",
                "aws:cloudwatch/eventBusPolicy:EventBusPolicy",
                "aws:codebuild/resourcePolicy:ResourcePolicy",
                "aws:dsql/clusterPolicy:ClusterPolicy",
                "aws:dynamodb/resourcePolicy:ResourcePolicy",
                "aws:ecr/registryPolicy:RegistryPolicy",
                "aws:ecr/repositoryPolicy:RepositoryPolicy",
                "aws:ecrpublic/repositoryPolicy:RepositoryPolicy",
                "aws:efs/fileSystemPolicy:FileSystemPolicy",
                "aws:glacier/vaultLock:VaultLock",
                "aws:glue/resourcePolicy:ResourcePolicy",
                "aws:kinesis/resourcePolicy:ResourcePolicy",
                "aws:kms/externalKey:ExternalKey",
                "aws:kms/key:Key",
                "aws:kms/keyPolicy:KeyPolicy",
                "aws:kms/replicaExternalKey:ReplicaExternalKey",
                "aws:kms/replicaKey:ReplicaKey",
                "aws:lambda/resourcePolicy:ResourcePolicy",
                "aws:mediastore/containerPolicy:ContainerPolicy",
                "aws:msk/clusterPolicy:ClusterPolicy",
                "aws:redshift/resourcePolicy:ResourcePolicy",
                "aws:redshiftserverless/resourcePolicy:ResourcePolicy",
                "aws:s3/accessPoint:AccessPoint",
                "aws:s3/bucket:Bucket",
                "aws:s3/bucketPolicy:BucketPolicy",
                "aws:s3/bucketV2:BucketV2",
                "aws:s3/filesFileSystemPolicy:FilesFileSystemPolicy",
                "aws:s3/vectorsVectorBucketPolicy:VectorsVectorBucketPolicy",
                "aws:s3control/accessGrantsInstanceResourcePolicy:AccessGrantsInstanceResourcePolicy",
                "aws:s3control/accessPointPolicy:AccessPointPolicy",
                "aws:s3control/bucketPolicy:BucketPolicy",
                "aws:s3control/objectLambdaAccessPointPolicy:ObjectLambdaAccessPointPolicy",
                "aws:schemas/registryPolicy:RegistryPolicy",
                "aws:secretsmanager/secret:Secret",
                "aws:secretsmanager/secretPolicy:SecretPolicy",
                "aws:ses/identityPolicy:IdentityPolicy",
                "aws:sesv2/emailIdentityPolicy:EmailIdentityPolicy",
                "aws:sns/topic:Topic",
                "aws:sns/topicPolicy:TopicPolicy",
                "aws:sqs/queue:Queue",
                "aws:sqs/queuePolicy:QueuePolicy",
                "aws:vpclattice/authPolicy:AuthPolicy",
                "aws:vpclattice/resourcePolicy:ResourcePolicy",
            ),
            "deliveryDestinationPolicy": ("aws:cloudwatch/logDeliveryDestinationPolicy:LogDeliveryDestinationPolicy",),
            "details.policy": ("aws:s3control/multiRegionAccessPointPolicy:MultiRegionAccessPointPolicy",),
            "accessPolicy": ("aws:cloudwatch/logDestinationPolicy:LogDestinationPolicy", "aws:glacier/vault:Vault"),
            "accessPolicies": (
                "aws:elasticsearch/domain:Domain",
                "aws:elasticsearch/domainPolicy:DomainPolicy",
                "aws:opensearch/domain:Domain",
                "aws:opensearch/domainPolicy:DomainPolicy",
            ),
            "policyDocument": (
                "aws:amp/resourcePolicy:ResourcePolicy",
                "aws:cloudwatch/logResourcePolicy:LogResourcePolicy",
                "aws:codeartifact/repositoryPermissionsPolicy:RepositoryPermissionsPolicy",
                "aws:xray/resourcePolicy:ResourcePolicy",
            ),
            "resourcePolicy": (
                "aws:s3tables/tableBucketPolicy:TableBucketPolicy",
                "aws:s3tables/tablePolicy:TablePolicy",
                "aws:sagemaker/modelPackageGroupPolicy:ModelPackageGroupPolicy",
            ),
            "repositoryPolicy": ("aws:ecr/repositoryCreationTemplate:RepositoryCreationTemplate",),
        }.items()
        for token in tokens
    },
}
"""The paths of the documents of each resource type, and their kinds. `[]` stands for every item of a list."""

BOUNDARIES: Final = Setting(
    [],
    STRINGS,
    "Names (with *) of iam.Policy resources that are permissions boundaries of roles in other programs.",
)
"""A setting of the rules on identities' policies. What is a boundary in the same program is known from its use."""


def types(*kinds: Kind) -> tuple[str, ...]:
    """The resource types that have a document of one of these kinds."""
    return tuple(token for token, places in PLACES.items() if any(kind in kinds for kind, _ in places))


def each_document(resource: Resource, kinds: Sequence[Kind], check: "Callable[[Document], Iterator[str]]") -> Iterator[str]:
    """Check every document of these kinds in a resource, also if one of them is not known yet."""

    def place(held: tuple[Kind, str]) -> Iterator[str]:
        kind, path = held
        yield from each(resource.properties.all_at(path), lambda value: found(kind, value))

    def found(kind: Kind, value: Value) -> Iterator[str]:
        if not value.missing and value.plain != "":
            yield from check(Document(kind, value))

    yield from each([held for held in PLACES.get(resource.type, ()) if held[0] in kinds], place)


def each_statement(resource: Resource, kinds: Sequence[Kind], check: "Callable[[Statement], Iterator[str]]") -> Iterator[str]:
    """Check every statement in documents of these kinds, also if one of them is not known yet."""
    yield from each_document(resource, kinds, lambda document: document.each_statement(check))


@dataclass(frozen=True)
class Document:
    """A policy document: its place and its content."""

    kind: Kind
    place: Value

    @property
    def path(self) -> str:
        return self.place.path

    @property
    def error(self) -> str:
        """Why the text is not a JSON object; empty if it is one."""
        if isinstance(self.place.plain, Mapping):
            return ""
        document, error = parsed(self.place.text())
        return error or ("" if isinstance(document, Mapping) else "is no JSON object")

    @property
    def twice(self) -> tuple[str, ...]:
        """The keys that occur more than once in an object of the text. Only the last occurrence counts."""
        return () if isinstance(self.place.plain, Mapping) else repeated(self.place.text())

    @property
    def value(self) -> Value:
        """The parsed document; missing if it cannot be parsed."""
        plain = self.place.plain
        return Value(plain if isinstance(plain, Mapping) else parsed(self.place.text())[0], self.path)

    def each_statement(self, check: "Callable[[Statement], Iterator[str]]") -> Iterator[str]:
        yield from each(self.value["Statement"].items(), lambda value: check(Statement(value, self)))

    def statements(self) -> "list[Statement]":
        return [Statement(value, self) for value in self.value["Statement"].items()]


@functools.lru_cache(maxsize=4096)
def parsed(text: str) -> tuple[Any, str]:
    """A document's text as data, and why it is not JSON. The data is cached: do not change it."""
    try:
        return json.loads(text), ""
    except ValueError as error:
        return None, f"is no JSON ({error})"


@functools.lru_cache(maxsize=4096)
def repeated(text: str) -> tuple[str, ...]:
    """The keys that occur more than once in an object of a JSON text."""
    found: list[str] = []

    def hook(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        names = [name for name, _ in pairs]
        found.extend(sorted({name for name in names if names.count(name) > 1}))
        return dict(pairs)

    try:
        json.loads(text, object_pairs_hook=hook)
    except ValueError:
        return ()
    return tuple(found)


@dataclass(frozen=True)
class Statement:
    """A statement of a document. Reading an unknown value raises `NotVerified`."""

    value: Value
    document: Document

    @property
    def path(self) -> str:
        """The path of the statement, with its Sid, by which a reader finds it."""
        sid = self.value["Sid"].data
        return f"{self.value.path} ({sid})" if isinstance(sid, str) and sid else self.value.path

    @property
    def allows(self) -> bool:
        return self.value["Effect"].equals("Allow")

    @property
    def denies(self) -> bool:
        return self.value["Effect"].equals("Deny")

    def texts(self, name: str) -> list[str]:
        """The texts of an element such as `Action` or `Resource`, which may be one text or a list."""
        return [item.text() for item in self.value[name].items()]

    def known(self, name: str) -> list[str]:
        """The texts of an element that are known already."""
        return [item.text() for item in self.value[name].items() if item.state is State.KNOWN]

    def covers(self, action: str) -> bool:
        """Whether the statement applies to this action, by `Action` or by `NotAction`."""
        if self.value["NotAction"].missing:
            return any(matches(pattern, action) for pattern in self.texts("Action"))
        return not any(matches(pattern, action) for pattern in self.texts("NotAction"))

    def principals(self, kind: str) -> list[Value]:
        """The principals of a kind: `AWS`, `Service` or `Federated`. `Principal: "*"` counts as every `AWS` principal."""
        principal = self.value["Principal"]
        if isinstance(principal.plain, str):
            return [principal] if kind == "AWS" else []
        return principal[kind].items()

    def conditions(self, pattern: str = "*") -> Iterator[Condition]:
        """The conditions on the keys that match a pattern (lower case, with `*`)."""
        held = self.value["Condition"].entries()
        present = {
            key.lower()
            for operator, keys in held.items()
            if operator.lower() == "null"
            for key, values in keys.entries().items()
            if [_plain(item) for item in values.items()] == ["false"]
        }
        for operator, keys in held.items():
            for key, values in keys.entries().items():
                if fnmatchcase(key.lower(), pattern):
                    found = tuple(_plain(item) for item in values.items())
                    yield Condition(operator, key.lower(), found, exists=key.lower() in present)

    def limited(self, purpose: Purpose, action: str = "") -> bool:
        """Whether a condition demands something specific of a key that counts for the purpose (and the action)."""
        return any(condition.demands and condition.limits(purpose, action) for condition in self.conditions())

    def demands(self, key: str, specific: Callable[[str], bool] = is_named) -> bool:
        """Whether a condition demands specific values of this key (lower case, with `*`)."""
        return any(
            condition.demands and bool(condition.values) and all(specific(value) for value in condition.values)
            for condition in self.conditions(key)
        )

    def demanded(self, key: str) -> list[str] | None:
        """The values that the conditions accept for this key (lower case); None if no condition requires one."""
        found = [condition.values for condition in self.conditions(key) if condition.demands]
        return [value for values in found for value in values] if found else None


def _plain(value: Value) -> str:
    return str(value.plain).lower() if isinstance(value.plain, bool) else value.text()
