"""What models on GPUs of one's own cost: what their Deployments say of the nodes that they fill, and the nodes' price."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from pulumi_llm.cost.charge import Resource, of_type
from pulumi_llm.cost.kept_nodes import DEPLOYMENT
from pulumi_llm.cost.prices import price_table

# Annotations of a served model's Deployment: its node's type, and the output of all servers that such a node has room for,
# as `pulumi-llm fit` estimates it.
INSTANCE_TYPE: Final = "pulumi-llm/instance-type"
TOKENS_PER_SECOND: Final = "pulumi-llm/tokens-per-second"
_NAME_LABEL: Final = "app.kubernetes.io/name"


class ServedModel(NamedTuple):
    """A model that the program serves itself. `usd_per_million` output tokens is for nodes that are busy around the clock."""

    instance_type: str
    tokens_per_second: float
    usd_per_million: float


def served_models(resources: Sequence[Resource]) -> Mapping[str, ServedModel]:
    """Return the served models by their names, each with its dearest version."""
    found: dict[str, ServedModel] = {}
    for deployment in of_type(resources, DEPLOYMENT):
        metadata: Mapping[str, Any] = deployment.inputs.get("metadata") or {}
        annotations: Mapping[str, str] = metadata.get("annotations") or {}
        price = price_table().instances.get(annotations.get(INSTANCE_TYPE, ""))
        if price is None or TOKENS_PER_SECOND not in annotations:
            continue
        speed = float(annotations[TOKENS_PER_SECOND])
        model = ServedModel(price.title, speed, price.usd / 3600 / speed * 1e6)
        name = metadata["labels"][_NAME_LABEL]
        found[name] = max(found.get(name, model), model, key=lambda each: each.usd_per_million)
    return found
