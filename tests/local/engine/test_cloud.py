"""The stand-in account: what AWS refuses to delete or make, what goes together with something else, and what a stage serves."""

from typing import Any

import pytest

from pulumi_llm_local.aws_types.draft import Place
from pulumi_llm_local.engine.cloud import Cloud, Existing, Refused

AWS: dict[str, tuple[str, dict[str, Any]]] = {
    "api": ("aws:apigateway/restApi:RestApi", {}),
    "authorizer": ("aws:apigateway/authorizer:Authorizer", {"restApi": "api", "name": "keys"}),
    "validator": ("aws:apigateway/requestValidator:RequestValidator", {"restApi": "api"}),
    "model": ("aws:apigateway/model:Model", {"restApi": "api", "name": "Body"}),
    "path": ("aws:apigateway/resource:Resource", {"restApi": "api", "parentId": "root", "pathPart": "chat"}),
    "method": (
        "aws:apigateway/method:Method",
        {
            "restApi": "api",
            "resourceId": "path",
            "httpMethod": "POST",
            "authorizerId": "authorizer",
            "requestValidatorId": "validator",
            "requestModels": {"application/json": "Body"},
        },
    ),
    "integration": (
        "aws:apigateway/integration:Integration",
        {"restApi": "api", "resourceId": "path", "httpMethod": "POST", "type": "MOCK"},
    ),
    "method response": (
        "aws:apigateway/methodResponse:MethodResponse",
        {"restApi": "api", "resourceId": "path", "httpMethod": "POST", "statusCode": "200"},
    ),
    "response": (
        "aws:apigateway/integrationResponse:IntegrationResponse",
        {"restApi": "api", "resourceId": "path", "httpMethod": "POST", "statusCode": "200"},
    ),
    "deployment": ("aws:apigateway/deployment:Deployment", {"restApi": "api"}),
    "stage": ("aws:apigateway/stage:Stage", {"restApi": "api", "stageName": "live", "deployment": "deployment"}),
    "websocket api": ("aws:apigatewayv2/api:Api", {"protocolType": "WEBSOCKET"}),
    "websocket authorizer": ("aws:apigatewayv2/authorizer:Authorizer", {"apiId": "websocket api", "name": "keys"}),
    "websocket integration": ("aws:apigatewayv2/integration:Integration", {"apiId": "websocket api"}),
    "websocket route": (
        "aws:apigatewayv2/route:Route",
        {
            "apiId": "websocket api",
            "routeKey": "$connect",
            "authorizerId": "websocket authorizer",
            "target": "integrations/websocket integration",
        },
    ),
    "websocket integration response": (
        "aws:apigatewayv2/integrationResponse:IntegrationResponse",
        {"apiId": "websocket api", "integrationId": "websocket integration", "integrationResponseKey": "$default"},
    ),
    "websocket response": (
        "aws:apigatewayv2/routeResponse:RouteResponse",
        {"apiId": "websocket api", "routeId": "websocket route", "routeResponseKey": "$default"},
    ),
    "websocket deployment": ("aws:apigatewayv2/deployment:Deployment", {"apiId": "websocket api"}),
    "websocket stage": (
        "aws:apigatewayv2/stage:Stage",
        {"apiId": "websocket api", "name": "live", "deploymentId": "websocket deployment"},
    ),
    "plan": ("aws:apigateway/usagePlan:UsagePlan", {"apiStages": [{"apiId": "api", "stage": "live"}]}),
    "role": ("aws:iam/role:Role", {"name": "llm"}),
    "role policy": ("aws:iam/rolePolicy:RolePolicy", {"role": "llm", "name": "logs"}),
    "policy": ("aws:iam/policy:Policy", {"name": "read"}),
    "other role": ("aws:iam/role:Role", {"name": "other"}),
    "attachment": ("aws:iam/rolePolicyAttachment:RolePolicyAttachment", {"role": "other", "policyArn": "policy.arn"}),
    "function": ("aws:lambda/function:Function", {"name": "chat", "publish": True}),
    "alias": ("aws:lambda/alias:Alias", {"functionName": "chat", "name": "live", "functionVersion": "1"}),
    "balancer": ("aws:lb/loadBalancer:LoadBalancer", {"loadBalancerType": "application"}),
    "listener": ("aws:lb/listener:Listener", {"loadBalancerArn": "balancer", "port": 443}),
    "target group": ("aws:lb/targetGroup:TargetGroup", {"targetType": "alb", "port": 443, "protocol": "TCP"}),
    "target": (
        "aws:lb/targetGroupAttachment:TargetGroupAttachment",
        {"targetGroupArn": "target group", "targetId": "balancer"},
    ),
    "front": ("aws:lb/loadBalancer:LoadBalancer", {"loadBalancerType": "network"}),
    "service": (
        "aws:ec2/vpcEndpointService:VpcEndpointService",
        {"networkLoadBalancerArns": ["front"], "privateDnsName": "models.example.com"},
    ),
}


class Account:
    """An account in which resources are made by their names in `AWS`; a name in an input stands for the id of the resource."""

    def __init__(self) -> None:
        self.cloud = Cloud()
        self.made: dict[str, Existing] = {}

    def make(self, *names: str) -> None:
        for name in names:
            token, inputs = AWS[name]
            self.made[name] = self.cloud.create(token, f"urn::stack::{token}::{name}", self._given(inputs), Place())

    def change(self, name: str, **inputs: Any) -> None:
        made = self.made[name]
        self.cloud.update(made.token, made.id, made.urn, {**made.inputs, **inputs})

    def delete(self, name: str) -> None:
        made = self.made[name]
        self.cloud.delete(made.token, made.id, made.urn, made.state)

    def names(self) -> set[str]:
        return {each.urn.rpartition("::")[2] for each in self.cloud}

    def _given(self, inputs: dict[str, Any]) -> dict[str, Any]:
        ids = {name: made.id for name, made in self.made.items()}
        if "policy" in self.made:
            ids["policy.arn"] = self.made["policy"].state["arn"]

        def given(value: Any) -> Any:
            if isinstance(value, list):
                return [given(item) for item in value]
            if isinstance(value, dict):
                return {key: given(item) for key, item in value.items()}
            if not isinstance(value, str):
                return value
            before, slash, name = value.rpartition("/")
            return f"{before}{slash}{ids.get(name, name)}"

        return given(inputs)


@pytest.fixture
def account() -> Account:
    made = Account()
    made.make(*AWS)
    return made


@pytest.mark.parametrize(
    ("name", "refusal"),
    [
        ("deployment", "Active stages pointing to this deployment must be moved or deleted"),
        ("authorizer", "Cannot delete authorizer, is referenced in method"),
        ("websocket authorizer", "Cannot delete authorizer, is referenced in route"),
        ("websocket integration", "Cannot delete Integration because it is referenced by"),
        ("websocket deployment", "Active stages pointing to this deployment must be moved or deleted"),
        ("model", "Cannot delete model, is referenced in method request"),
        ("validator", "Cannot delete request validator, is referenced in method request"),
        ("role", "must delete policies first"),
        ("other role", "must detach all policies first"),
        ("policy", "Cannot delete a policy attached to entities"),
        ("balancer", "registered as a target of another one"),
        ("front", "associated with another service"),
    ],
)
def test_what_is_used_is_not_deleted(name: str, refusal: str, account: Account) -> None:
    with pytest.raises(Refused, match=refusal):
        account.delete(name)
    assert account.names() == set(AWS)


@pytest.mark.parametrize(
    ("name", "with_it"),
    [
        ("integration", {"response"}),
        ("path", {"method", "method response", "integration", "response"}),
        ("websocket route", {"websocket response"}),
        ("function", {"alias"}),
    ],
)
def test_what_a_resource_contains_goes_with_it(name: str, with_it: set[str], account: Account) -> None:
    account.delete(name)
    assert set(AWS) - account.names() == {name, *with_it}


@pytest.mark.parametrize(
    ("made", "name", "refusal"),
    [
        (("api", "path"), "integration", "Invalid Method identifier"),
        (("api", "path", "method"), "response", "Invalid Integration identifier"),
        (("api", "path", "method", "integration"), "response", "Invalid Response status code"),
        (("api",), "stage", "Deployment id does not exist"),
        (("api",), "plan", "API Stage not found"),
        (("websocket api",), "websocket response", "Invalid Route identifier"),
        (("balancer", "target group"), "target", "no listener on the target group's port 443"),
        (("websocket api",), "websocket deployment", "Unable to deploy API because no routes exist"),
    ],
)
def test_what_a_resource_needs_has_to_be_there(made: tuple[str, ...], name: str, refusal: str) -> None:
    account = Account()
    account.make(*made)
    with pytest.raises(Refused, match=refusal):
        account.make(name)


def test_a_private_name_is_verified_by_the_record_of_its_service(account: Account) -> None:
    kind = "EndpointServicePrivateDnsVerification"
    verify = (f"aws:vpc/endpointServicePrivateDnsVerification:{kind}", "urn::verify", {"serviceId": account.made["service"].id})
    (proof,) = account.made["service"].state["privateDnsNameConfigurations"]
    record = {"type": "TXT", "records": [proof["value"]]}
    for name in ("models.example.com", f"{proof['name']}.models.example.com"):
        with pytest.raises(Refused, match="no TXT record"):
            account.cloud.create(*verify, Place())
        account.cloud.create("aws:route53/record:Record", f"urn::{name}", {**record, "name": name}, Place())
    account.cloud.create(*verify, Place())


def test_a_cluster_gets_no_subnet_in_a_zone_that_it_was_not_made_with() -> None:
    cloud = Cloud()
    zones = {"a": "us-east-1a", "b": "us-east-1b", "b2": "us-east-1b", "c": "us-east-1c"}
    subnets = {
        name: cloud.create("aws:ec2/subnet:Subnet", f"urn::{name}", {"availabilityZone": zone}, Place()).id
        for name, zone in zones.items()
    }
    token, urn = "aws:eks/cluster:Cluster", "urn::cluster"

    def inputs(*names: str) -> dict[str, Any]:
        return {"name": "gpu", "vpcConfig": {"subnetIds": [subnets[name] for name in names]}}

    cluster = cloud.create(token, urn, inputs("a", "b"), Place())
    cloud.update(token, cluster.id, urn, inputs("a", "b", "b2"))
    with pytest.raises(Refused, match="AZs that the cluster was not made with"):
        cloud.update(token, cluster.id, urn, inputs("a", "b", "c"))


def test_a_stage_that_is_deleted_is_in_no_usage_plan(account: Account) -> None:
    account.delete("stage")
    assert "apiStages" not in account.made["plan"].inputs


@pytest.mark.parametrize(("made", "refusal"), [((), "doesn't contain any methods"), (("path", "method"), "No integration")])
def test_an_api_that_is_not_complete_cannot_be_deployed(made: tuple[str, ...], refusal: str) -> None:
    account = Account()
    account.make("api", *made)
    with pytest.raises(Refused, match=refusal):
        account.make("deployment")


def test_a_stage_serves_what_was_configured_when_it_was_deployed(account: Account) -> None:
    cloud, stage = account.cloud, account.made["stage"]
    assert cloud.served(stage) == cloud.configured(stage)
    account.change("authorizer", identitySource="method.request.header.Authorization")
    assert cloud.served(stage) != cloud.configured(stage)
    account.make("deployment")
    assert cloud.served(stage) != cloud.configured(stage), "the stage has not been moved"
    account.change("stage", deployment=account.made["deployment"].id)
    assert cloud.served(stage) == cloud.configured(stage)
    account.change("api", tags={"Team": "search"})
    assert cloud.served(stage) == cloud.configured(stage), "tags are not frozen"


def test_a_websocket_api_s_stage_serves_its_deployment_too(account: Account) -> None:
    cloud, stage = account.cloud, account.made["websocket stage"]
    for name in ("integration", "authorizer", "route", "response"):
        assert cloud.served(stage) == cloud.configured(stage)
        account.change(f"websocket {name}", description="changed")
        assert cloud.served(stage) != cloud.configured(stage), name
        account.make("websocket deployment")
        account.change("websocket stage", deploymentId=account.made["websocket deployment"].id)
    account.change("websocket api", tags={"Team": "search"})
    assert cloud.served(stage) == cloud.configured(stage), "tags are not frozen"


def test_a_route_key_is_once_in_an_api_and_a_stage_s_name_once_in_each() -> None:
    account = Account()
    for _ in range(2):
        account.make(*(name for name in AWS if name.startswith("websocket")))
    with pytest.raises(Refused, match="ConflictException"):
        account.make("websocket route")
    with pytest.raises(Refused, match="ConflictException"):
        account.make("websocket stage")
