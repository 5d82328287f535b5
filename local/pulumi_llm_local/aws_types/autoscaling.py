"""EC2 Auto Scaling."""

from collections.abc import Mapping
from typing import Any, Final, cast

from pulumi_llm_local.aws_types.aws_type import AwsType, Outputs
from pulumi_llm_local.aws_types.draft import Draft


def _tag(draft: Draft) -> Outputs:
    """A tag has its group's name and its own key as its id."""
    tag = draft.inputs.get("tag")
    key = cast("Mapping[str, Any]", tag).get("key", "") if isinstance(tag, Mapping) else ""
    return {"id": f"{draft.text('autoscalingGroupName')},{key}"}


TYPES: Final[Mapping[str, AwsType]] = {
    "aws:autoscaling/tag:Tag": AwsType(
        outputs=_tag, replaced_by="autoscalingGroupName tag.key", api="autoscaling CreateOrUpdateTags.Tags", overwrites=True
    ),
}
