"""The table of replacing properties: known answers, names that the SDK has, and no type left out."""

import inspect
import re
import typing
from collections.abc import Iterator
from typing import Any

import pytest

from pulumi_llm_local.aws_types.registry import STATEFUL, TYPES, forces_replacement
from pulumi_llm_local.aws_types.sdk import arguments_class, arguments_of, resource_class

REPLACED_BY = {token: frozenset(entry.replaced_by.split()) for token, entry in TYPES.items() if entry.replaced_by is not None}

CASES: list[tuple[str, str, bool]] = [
    # A name replaces, a setting does not.
    ("aws:dynamodb/table:Table", "name", True),
    ("aws:dynamodb/table:Table", "hashKey", True),
    ("aws:dynamodb/table:Table", "billingMode", False),
    ("aws:dynamodb/table:Table", "attributes[0].name", False),
    ("aws:dynamodb/table:Table", "localSecondaryIndexes[1].projectionType", True),
    ("aws:dynamodb/table:Table", "globalSecondaryIndexes[0].hashKey", False),
    ("aws:dynamodb/table:Table", "tags.Owner", False),
    ("aws:lambda/function:Function", "name", True),
    ("aws:lambda/function:Function", "packageType", True),
    ("aws:lambda/function:Function", "architectures[0]", False),
    ("aws:lambda/function:Function", "vpcConfig.subnetIds[1]", False),
    ("aws:lambda/function:Function", "environment.variables.name", False),
    ("aws:lambda/layerVersion:LayerVersion", "code", True),
    ("aws:lambda/permission:Permission", "function", True),
    ("aws:lambda/functionUrl:FunctionUrl", "authorizationType", False),
    ("aws:apigateway/restApi:RestApi", "name", False),
    ("aws:apigateway/restApi:RestApi", "endpointConfiguration.types", False),
    ("aws:apigateway/apiKey:ApiKey", "value", True),
    ("aws:apigateway/apiKey:ApiKey", "name", False),
    ("aws:apigateway/deployment:Deployment", "triggers.redeployment", True),
    ("aws:apigateway/deployment:Deployment", "description", False),
    ("aws:apigateway/resource:Resource", "pathPart", False),
    ("aws:apigatewayv2/api:Api", "protocolType", True),
    ("aws:apigatewayv2/route:Route", "routeKey", False),
    ("aws:ec2/securityGroup:SecurityGroup", "description", True),
    ("aws:ec2/securityGroup:SecurityGroup", "ingress[0].cidrBlocks[0]", False),
    ("aws:ec2/vpc:Vpc", "cidrBlock", True),
    ("aws:ec2/natGateway:NatGateway", "subnetId", True),
    ("aws:eks/cluster:Cluster", "vpcConfig.subnetIds[1]", False),
    ("aws:eks/cluster:Cluster", "kubernetesNetworkConfig.serviceIpv4Cidr", True),
    ("aws:eks/nodeGroup:NodeGroup", "instanceTypes[0]", True),
    ("aws:eks/nodeGroup:NodeGroup", "scalingConfig.desiredSize", False),
    ("aws:kms/key:Key", "keyUsage", True),
    ("aws:kms/key:Key", "policy", False),
    ("aws:s3/bucket:Bucket", "bucket", True),
    ("aws:s3/bucket:Bucket", "objectLockConfiguration.objectLockEnabled", True),
    ("aws:s3/bucket:Bucket", "objectLockConfiguration.rule.defaultRetention.days", False),
    ("aws:s3/bucket:Bucket", "objectLockConfiguration", False),  # it is above what replaces
    ("aws:sqs/queue:Queue", "fifoQueue", True),
    ("aws:sqs/queue:Queue", "fifoQueues", False),  # a name that only begins as one that replaces
    ("aws:secretsmanager/secretVersion:SecretVersion", "secretString", True),
    # Another Region, where the type has one.
    ("aws:apigateway/usagePlan:UsagePlan", "region", True),
    ("aws:dynamodb/table:Table", "region", True),
    ("aws:dynamodb/table:Table", "replicas[0].regionName", False),
    ("aws:iam/role:Role", "region", False),
    ("aws:cloudfront/distribution:Distribution", "region", False),
    # Kubernetes
    ("kubernetes:core/v1:Namespace", "metadata.name", True),
    ("kubernetes:apps/v1:Deployment", "metadata.namespace", True),
    ("kubernetes:apps/v1:Deployment", "metadata.labels.name", False),
    ("kubernetes:apps/v1:Deployment", 'metadata.annotations["metadata.name"]', False),
    ("kubernetes:apps/v1:Deployment", 'spec.selector.matchLabels["app.kubernetes.io/name"]', True),
    ("kubernetes:apps/v1:Deployment", "spec.template.spec.containers[0].image", False),
    ("kubernetes:apps/v1:DeploymentPatch", "spec.selector.matchLabels.app", False),
    ("kubernetes:apps/v1:StatefulSet", "spec.volumeClaimTemplates[0].spec.storageClassName", True),
    ("kubernetes:apps/v1:StatefulSet", "spec.replicas", False),
    ("kubernetes:batch/v1:Job", "spec.template.spec.containers[0].image", True),
    ("kubernetes:core/v1:ConfigMap", 'data["models.yaml"]', True),
    ("kubernetes:core/v1:Secret", "stringData.key", True),
    ("kubernetes:core/v1:Service", "spec.clusterIP", True),
    ("kubernetes:core/v1:Service", "spec.ports[0].port", False),
    ("kubernetes:core/v1:Pod", "spec.containers[0].env[2].value", True),
    ("kubernetes:core/v1:PersistentVolumeClaim", "spec.storageClassName", True),
    ("kubernetes:core/v1:PersistentVolumeClaim", "spec.resources.requests.storage", False),
    ("kubernetes:rbac.authorization.k8s.io/v1:RoleBinding", "roleRef.name", True),
    ("kubernetes:storage.k8s.io/v1:StorageClass", "parameters.type", True),
    ("kubernetes:helm.sh/v3:Release", "namespace", True),
    ("kubernetes:helm.sh/v3:Release", "values.image.tag", False),
    ("kubernetes:karpenter.sh/v1:NodePool", "spec.limits.cpu", False),
    ("kubernetes:karpenter.sh/v1:NodePool", "metadata.name", True),
]


@pytest.mark.parametrize(("token", "path", "replaced"), CASES)
def test_a_change_replaces_a_resource_or_updates_it(token: str, path: str, replaced: bool) -> None:
    assert forces_replacement(token, path) is replaced


def test_a_type_that_the_table_lacks_is_an_error_that_says_where_to_add_it() -> None:
    with pytest.raises(LookupError, match=r"aws:dynamodb/tabel:Table: .*in aws_types.*'aws:dynamodb/table:Table'"):
        forces_replacement("aws:dynamodb/tabel:Table", "name")
    with pytest.raises(LookupError, match="random:index/randomId:RandomId"):
        forces_replacement("random:index/randomId:RandomId", "byteLength")


def test_every_type_with_computed_outputs_has_an_entry() -> None:
    assert {token for token, entry in TYPES.items() if entry.outputs is not None} <= set(REPLACED_BY)


@pytest.mark.parametrize("token", sorted(REPLACED_BY))
def test_every_path_is_an_argument_of_the_sdks_class(token: str) -> None:
    found = arguments_class(token)
    assert [path for path in sorted(REPLACED_BY[token]) if not exists(found, path)] == []


@pytest.mark.parametrize("token", sorted(REPLACED_BY))
def test_region_replaces_exactly_the_types_that_have_it(token: str) -> None:
    found = arguments_class(token)
    assert forces_replacement(token, "region") is exists(found, "region")


def test_no_entry_says_what_another_one_says_already() -> None:
    below = [
        (token, path)
        for token, paths in REPLACED_BY.items()
        for path in paths
        for other in paths
        if path.startswith(f"{other}.")
    ]
    assert below == []
    assert not any("[" in path or re.search(r"(^|\.)region$", path) for paths in REPLACED_BY.values() for path in paths)


def test_what_must_never_be_replaced_is_known_to_the_table_and_to_the_sdk() -> None:
    on_aws = {token for token in STATEFUL if token.startswith("aws:")}
    assert on_aws <= set(REPLACED_BY)
    assert all(resource_class(token) for token in on_aws)
    assert all(re.fullmatch(r"kubernetes:[a-z0-9.]+/v[0-9]+:[A-Z]\w+", token) for token in set(STATEFUL) - on_aws)


def exists(cls: type, path: str) -> bool:
    """Say whether a class has an argument at a path, in the classes that its arguments are of, too."""
    name, _, below = path.partition(".")
    found = arguments_of(cls).get(name)
    if found is None or not below:
        return found is not None
    return any(exists(inner, below) for annotation in found.types for inner in classes(annotation))


def classes(annotation: Any) -> Iterator[type]:
    """List the classes of arguments in an annotation, such as that of a list's items."""
    if inspect.isclass(annotation) and hasattr(annotation, "_pulumi_input_type"):
        yield annotation
    for member in typing.get_args(annotation):
        yield from classes(member)
