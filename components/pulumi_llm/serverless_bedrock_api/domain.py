"""The custom domain of the API."""

import pulumi
from pulumi_aws import apigateway, route53

from pulumi_llm.api_edge.api import Api
from pulumi_llm.base.component import Component
from pulumi_llm.serverless_bedrock_api.args import DomainSettings


def create_domain(component: Component, domain: DomainSettings, api: Api, stage: apigateway.Stage) -> pulumi.Output[str]:
    """Map a regional custom domain, or a base path of it, to the stage; return the address. The domain is made if it does not
    exist."""
    name = domain.name if domain.existing else _create_domain_name(component, domain)
    mapping = apigateway.BasePathMapping(
        component.child_name("domain-mapping"),
        rest_api=api.id,
        stage_name=stage.stage_name,
        domain_name=name,
        base_path=domain.base_path,
        opts=component.child("domain-mapping"),
    )
    base_path = "" if domain.base_path is None else pulumi.Output.format("/{}", domain.base_path)
    return pulumi.Output.format("https://{}{}", mapping.domain_name, base_path)


def _create_domain_name(component: Component, domain: DomainSettings) -> pulumi.Output[str]:
    made = apigateway.DomainName(
        component.child_name("domain"),
        domain_name=domain.name,
        regional_certificate_arn=domain.certificate_arn,
        endpoint_configuration={"types": "REGIONAL"},
        security_policy="TLS_1_2",
        tags=component.tags,
        opts=component.child("domain"),
    )
    if domain.zone_id is not None:
        route53.Record(
            component.child_name("domain-record"),
            zone_id=domain.zone_id,
            name=domain.name,
            type="A",
            aliases=[{"name": made.regional_domain_name, "zone_id": made.regional_zone_id, "evaluate_target_health": False}],
            opts=component.child("domain-record"),
        )
    return made.domain_name
