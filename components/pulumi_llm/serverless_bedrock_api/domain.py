"""The custom domain of the API."""

import pulumi
from pulumi_aws import apigateway, route53

from pulumi_llm.base.component import Component
from pulumi_llm.serverless_bedrock_api.args import DomainSettings


def create_domain(
    component: Component, domain: DomainSettings, api: apigateway.RestApi, stage: apigateway.Stage
) -> pulumi.Output[str]:
    """Make a regional custom domain whose root is the stage; return its address."""
    made = apigateway.DomainName(
        component.child_name("domain"),
        domain_name=domain.name,
        regional_certificate_arn=domain.certificate_arn,
        endpoint_configuration={"types": "REGIONAL"},
        security_policy="TLS_1_2",
        tags=component.tags,
        opts=component.child("domain"),
    )
    apigateway.BasePathMapping(
        component.child_name("domain-mapping"),
        rest_api=api.id,
        stage_name=stage.stage_name,
        domain_name=made.domain_name,
        opts=component.child("domain-mapping"),
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
    return pulumi.Output.concat("https://", made.domain_name)
