"""What kube-score says of the objects of served models: nothing but what is explained here."""

import json
import subprocess

import pytest
import yaml

from support.go_tools import go_tool
from system.kube.test_admission import wanted

pytestmark = pytest.mark.timeout(2400)  # the first time, it has to be built

# The check, and the object's kind -> why it does not count here.
EXPLAINED = {
    ("container-resources", "Deployment"): "CPU has no limit: a server that is throttled makes its GPU wait",
    ("container-image-pull-policy", "Deployment"): "an image with its digest is the same wherever it comes from",
    ("deployment-has-host-podantiaffinity", "Deployment"): (
        "topologySpreadConstraints spread them over zones and nodes, and a node with several GPUs may have several"
    ),
    ("deployment-replicas", "Deployment"): "KEDA alone decides how many servers there are",
}


def test_the_score() -> None:
    program = go_tool("kube-score", "github.com/zegl/kube-score/cmd/kube-score")
    documents = yaml.safe_dump_all(wanted())
    command = [str(program), "score", "--output-format=json", "--kubernetes-version=v1.35", "-"]
    done = subprocess.run(command, input=documents, capture_output=True, text=True, check=False)
    objects = json.loads(done.stdout)
    found = {
        (check["check"]["id"], each["type_meta"]["kind"]): [comment["summary"] for comment in check["comments"] or ()]
        for each in objects
        for check in each["checks"]
        if check["grade"] < 10 and not check["skipped"]
    }
    assert found.keys() == EXPLAINED.keys(), found
