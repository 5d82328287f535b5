"""Rules on load balancers: what they pass on, who is told of it, and what stands before them."""

from collections.abc import Iterator, Sequence
from typing import Final

from llm_policies.rule import AWS_DOCS, BOOLEAN, Resource, Rule, Setting, Settings
from llm_policies.stacks import Found, companions, each_resource, given, of_type
from llm_policies.values import NotVerified

_BALANCERS: Final = ("aws:lb/loadBalancer:LoadBalancer", "aws:alb/loadBalancer:LoadBalancer")
_CLASSIC: Final = "aws:elb/loadBalancer:LoadBalancer"
_ASSOCIATION: Final = "aws:wafv2/webAclAssociation:WebAclAssociation"
_INTERNAL: Final = Setting(False, BOOLEAN, "Whether internal load balancers must have it too.")


def _is_application(balancer: Resource) -> bool:
    return balancer["loadBalancerType"].text("application") == "application"


def _headers(balancer: Resource, _: Settings) -> Iterator[str]:
    if _is_application(balancer) and not balancer["dropInvalidHeaderFields"].flag():
        yield "dropInvalidHeaderFields is not true: headers that servers read in different ways are passed on"
    if _is_application(balancer) and balancer["desyncMitigationMode"].equals("monitor"):
        yield "desyncMitigationMode is monitor: requests that smuggle another one are passed on"


def _logs(balancer: Resource, settings: Settings) -> Iterator[str]:
    if balancer["loadBalancerType"].equals("gateway") or (balancer["internal"].flag() and not settings["internal"]):
        return
    # A classic balancer's logs are on where its bucket is named.
    if not balancer.at("accessLogs.enabled").flag(default=balancer.type == _CLASSIC and not balancer["accessLogs"].missing):
        yield "accessLogs.enabled is not true: nothing tells afterwards who asked for what, and when"


def _waf(resources: Sequence[Resource], settings: Settings) -> Found:
    def check(balancer: Resource) -> Iterator[str]:
        if not _is_application(balancer) or (given(balancer, "internal").flag() and not settings["internal"]):
            return
        found, unverified = companions(balancer, resources, (_ASSOCIATION,), "resourceArn", ("arn", "id"))
        if found or _named(balancer, resources):
            return
        if unverified:
            raise NotVerified(unverified)
        yield "no web ACL is associated with it: nothing limits what an address may ask of it"

    yield from each_resource(of_type(resources, *_BALANCERS), check)


def _named(balancer: Resource, resources: Sequence[Resource]) -> bool:
    """Whether an association names the load balancer by an ARN that holds its name."""
    name = balancer["name"].data
    arns = [one["resourceArn"].data for one in of_type(resources, _ASSOCIATION)]
    return isinstance(name, str) and any(isinstance(arn, str) and f"loadbalancer/app/{name}/" in arn for arn in arns)


RULES: Final[tuple[Rule, ...]] = (
    Rule(
        name="lb-drops-invalid-headers",
        title="A load balancer drops headers that are not valid.",
        severity="medium",
        why="What the balancer and the server read in different ways is how one request hides another from authorization.",
        fix="`drop_invalid_header_fields=True`, and `desync_mitigation_mode` defensive or strictest.",
        check=_headers,
        types=_BALANCERS,
        frameworks=("AWS FSBP ELB.4", "AWS FSBP ELB.12"),
        url=f"{AWS_DOCS}/elasticloadbalancing/latest/application/edit-load-balancer-attributes.html",
    ),
    Rule(
        name="lb-access-logs",
        title="A load balancer that faces the internet logs who called it.",
        severity="medium",
        why="Without access logs a leaked key's use cannot be told from a tenant's own, and an attack leaves no trace.",
        fix="`access_logs={'bucket': …, 'enabled': True}`.",
        check=_logs,
        types=(*_BALANCERS, _CLASSIC),
        settings={"internal": _INTERNAL},
        frameworks=("AWS FSBP ELB.5",),
        url=f"{AWS_DOCS}/elasticloadbalancing/latest/application/load-balancer-access-logs.html",
    ),
    Rule(
        name="lb-waf",
        title="An Application Load Balancer that faces the internet has a web ACL.",
        severity="medium",
        why="A balancer passes a flood on to what calls models: at a cent an answer, 100 requests a second are $3,600 an hour.",
        fix="A `wafv2.WebAclAssociation` of the balancer with a web ACL that limits the rate.",
        check_stack=_waf,
        types=(*_BALANCERS, _ASSOCIATION),
        settings={"internal": _INTERNAL},
        frameworks=("AWS FSBP ELB.16",),
        url=f"{AWS_DOCS}/waf/latest/developerguide/waf-chapter.html",
    ),
)
