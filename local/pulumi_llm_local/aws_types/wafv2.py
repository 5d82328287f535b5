"""WAF."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from pulumi_llm_local.aws_types.aws_type import AwsType, Outputs
from pulumi_llm_local.aws_types.draft import Draft


def _waf(kind: str, **more: Any) -> Callable[[Draft], Outputs]:
    def rule(draft: Draft) -> Outputs:
        distributed = draft.text("scope") == "CLOUDFRONT"
        region, scope = ("us-east-1", "global") if distributed else (draft.region, "regional")
        return {
            "id": "{uuid}",
            "arn": f"arn:{{partition}}:wafv2:{region}:{{account}}:{scope}/{kind}/{{name}}/{{id}}",
            "lockToken": "{lock.uuid}",
            **more,
        }

    return rule


TYPES: Final[Mapping[str, AwsType]] = {
    "aws:wafv2/ipSet:IpSet": AwsType(outputs=_waf("ipset"), replaced_by="ipAddressVersion name namePrefix scope"),
    "aws:wafv2/webAcl:WebAcl": AwsType(
        outputs=_waf("webacl", applicationIntegrationUrl="", capacity=1), replaced_by="name namePrefix scope"
    ),
    "aws:wafv2/webAclAssociation:WebAclAssociation": AwsType(
        outputs={"id": "{webAclArn},{resourceArn}"}, replaced_by="resourceArn webAclArn", api="wafv2 AssociateWebACL"
    ),
    "aws:wafv2/webAclLoggingConfiguration:WebAclLoggingConfiguration": AwsType(
        outputs={"id": "{resourceArn}"},
        replaced_by="logDestinationConfigs resourceArn",
        api="wafv2 PutLoggingConfiguration.LoggingConfiguration",
    ),
}
