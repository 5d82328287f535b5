"""Route 53."""

from collections.abc import Mapping
from typing import Final

from pulumi_llm_local.aws_types.aws_type import AwsType, Outputs
from pulumi_llm_local.aws_types.draft import Draft


def _zone(draft: Draft) -> Outputs:
    domains = ("com", "net", "org", "co.uk")
    return {
        "id": "Z{upper20}",
        "zoneId": "{id}",
        "arn": "arn:{partition}:route53:::hostedzone/{id}",
        "nameServers": [f"ns-{draft.digits(4, domain)}.awsdns-{draft.digits(2, domain)}.{domain}" for domain in domains],
        "primaryNameServer": f"ns-{draft.digits(4, domains[0])}.awsdns-{draft.digits(2, domains[0])}.{domains[0]}",
    }


TYPES: Final[Mapping[str, AwsType]] = {
    "aws:route53/record:Record": AwsType(
        outputs={"id": "{zoneId}_{name}_{type}", "fqdn": "{name}"},
        replaced_by="name zoneId",
        api="route53 ChangeResourceRecordSets.ChangeBatch.Changes.ResourceRecordSet",
    ),
    "aws:route53/zone:Zone": AwsType(
        outputs=_zone, api="route53 CreateHostedZone", replaced_by="delegationSetId name", stateful="callers have its names"
    ),
}
