"""A stack with a GPU cluster, from the first `up` to `destroy`: what a change touches, and that nothing hangs or stays."""

import re
from pathlib import Path

from pulumi_llm_local.engine.cloud import Cloud
from support.served_models import IMAGE, QWEN
from system.engine.conftest import our_stack, succeeded

POOL = {"instance_type": "g5.2xlarge", "on_demand": {"max": 1}, "spot": {"max": 2}}
GPU = {
    "admins": ["arn:aws:iam::123456789012:role/deploy"],
    "domain": {"name": "models.example.com", "zone_id": "Z0123456789ABCDEFGHIJ"},
    "node_pools": {"gpu": POOL},
    "private_link": {"allowed_principals": ["arn:aws:iam::210987654321:root"]},
    "models": {"r1": QWEN},
    "deletion_protection": False,
}
NETWORK = {"enabled": True, "deletion_protection": False}
ZONES = ["us-east-1a", "us-east-1b", "us-east-1c"]
MODELS = [{"name": "chat", "targets": [{"provider": "r1", "model": "r1"}, {"model": "gpt-oss-20b"}]}]


def test_a_cluster_s_life(tmp_path: Path) -> None:
    with our_stack(tmp_path, "dev", Cloud()) as stack:

        def done(zones: int = 2, **gpu: object) -> dict[str, str]:
            """What an `up` with these settings does, by the names of the resources; what stays is left out."""
            stack.configure(
                {
                    "websocket.enabled": False,
                    "network": {**NETWORK, "zones": ZONES[:zones]},
                    "models": MODELS,
                    "gpu": {**GPU, **gpu},
                }
            )
            steps = succeeded(stack.up()).steps()
            return {urn.rpartition("::")[2]: step for urn, step in steps.items() if step != "same" and "::pulumi:" not in urn}

        assert set(done().values()) == {"create"}
        assert done() == {}
        # Another zone moves nothing, and EKS takes it for no cluster that is there.
        assert not any(each.startswith(("gpu-cluster", "gpu-node-group")) for each in done(zones=3))
        # Other bounds replace no node group.
        bounds = done(zones=3, node_pools={"gpu": {**POOL, "on_demand": {"max": 2}, "spot": {"max": 4}}})
        assert bounds == {"gpu-node-group-gpu-on-demand": "update", "gpu-node-group-gpu-spot": "update"}
        # Another name is verified anew for the callers in other VPCs, whose service stays.
        renamed = done(zones=3, domain={**GPU["domain"], "name": "llm.example.com"})
        assert renamed["gpu-endpoint-service"] == "update"
        assert renamed["gpu-endpoint-service-verification"] == "replace"
        # Another version of a model comes up beside the old one, which goes when traffic has moved.
        before = len(stack.cloud.calls)
        done(zones=3, models={"r1": {**QWEN, "image": IMAGE.replace("a" * 64, "b" * 64)}})
        calls = [(call.verb, re.sub("-[0-9a-f]{8}$", "", call.urn.rpartition("::")[2])) for call in stack.cloud.calls[before:]]
        order = [
            calls.index(each)
            for each in (("create", "gpu-deployment-r1"), ("update", "gpu-rule-r1"), ("delete", "gpu-deployment-r1"))
        ]
        assert order == sorted(order)
        succeeded(stack.destroy())
        assert list(stack.cloud) == []
