"""What AWS refuses of a Network Load Balancer in front of another balancer, and of an endpoint service's private name."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from pulumi_llm_local.aws_types.values import revealed
from pulumi_llm_local.engine.rest_apis import Resource

_ATTACHMENT: Final = "aws:lb/targetGroupAttachment:TargetGroupAttachment"
_VERIFICATION: Final = "aws:vpc/endpointServicePrivateDnsVerification:EndpointServicePrivateDnsVerification"


def refusal(made: Resource, account: Iterable[Resource]) -> str:
    """Return what AWS answers to a creation that it refuses; empty where it does not."""
    given = revealed(made.inputs)
    if made.token == _ATTACHMENT:
        return _refused_target(given, list(account))
    if made.token == _VERIFICATION:
        return _refused_verification(str(given.get("serviceId")), list(account))
    return ""


def _refused_target(given: Mapping[str, Any], account: list[Resource]) -> str:
    """A balancer is a target only if it listens on the port of its target group.

    https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_TargetDescription.html
    """
    groups = [revealed(each.inputs) for each in account if each.state.get("arn") == given.get("targetGroupArn")]
    if not groups or groups[0].get("targetType") != "alb":
        return ""
    wanted = (given.get("targetId"), groups[0].get("port"))
    listeners = [revealed(each.inputs) for each in account if each.token == "aws:lb/listener:Listener"]
    if any((listener.get("loadBalancerArn"), listener.get("port")) == wanted for listener in listeners):
        return ""
    return f"InvalidTarget: the Application Load Balancer has no listener on the target group's port {wanted[1]}"


def _refused_verification(service_id: str, account: list[Resource]) -> str:
    """The record must be there first: a TXT record of the name and the value that the service gives, below the private name.

    https://docs.aws.amazon.com/vpc/latest/privatelink/manage-dns-names.html
    """
    service = next((each for each in account if each.id == service_id), None)
    proofs: list[Mapping[str, str]] = service.state.get("privateDnsNameConfigurations") or [] if service else []
    if service is None or not proofs:
        return f"InvalidParameter: the endpoint service {service_id} has no private DNS name"
    records = [revealed(each.inputs) for each in account if each.token == "aws:route53/record:Record"]
    name = f"{proofs[0]['name']}.{service.inputs['privateDnsName']}"
    if any(
        (each.get("type"), each.get("name")) == ("TXT", name) and proofs[0]["value"] in (each.get("records") or ())
        for each in records
    ):
        return ""
    return f"unexpected state 'failed', wanted target 'verified': there is no TXT record {name} with the value of the service"
