"""WAF."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from pulumi_llm_local.aws_types.aws_type import AwsType, Outputs, Relation
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


_ASSOCIATION: Final = "aws:wafv2/webAclAssociation:WebAclAssociation"
# https://docs.aws.amazon.com/waf/latest/APIReference/API_DeleteWebACL.html
_IN_USE: Final = "WAFAssociatedItemException: your resource is being used by another resource or it's associated with another"


TYPES: Final[Mapping[str, AwsType]] = {
    "aws:wafv2/ipSet:IpSet": AwsType(outputs=_waf("ipset"), replaced_by="ipAddressVersion name namePrefix scope"),
    "aws:wafv2/webAcl:WebAcl": AwsType(
        outputs=_waf("webacl", applicationIntegrationUrl="", capacity=1),
        replaced_by="name namePrefix scope",
        blocked_by=(
            Relation(_ASSOCIATION, {"webAclArn": "arn"}, _IN_USE),
            Relation("aws:cloudfront/distribution:Distribution", {"webAclId": "arn"}, _IN_USE),
        ),
    ),
    _ASSOCIATION: AwsType(
        outputs={"id": "{webAclArn},{resourceArn}"},
        replaced_by="resourceArn webAclArn",
        api="wafv2 AssociateWebACL",
        # A resource has one web ACL, and DisassociateWebACL takes it away, whichever it is.
        # https://docs.aws.amazon.com/waf/latest/APIReference/API_DisassociateWebACL.html
        # https://github.com/pulumi/pulumi-aws/issues/4782
        deleted_by=("resourceArn",),
    ),
    "aws:wafv2/webAclLoggingConfiguration:WebAclLoggingConfiguration": AwsType(
        outputs={"id": "{resourceArn}"},
        replaced_by="logDestinationConfigs resourceArn",
        api="wafv2 PutLoggingConfiguration.LoggingConfiguration",
    ),
}
