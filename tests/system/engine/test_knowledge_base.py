"""What a knowledge base's settings make anew, in `up`, and what they change in place."""

from pathlib import Path

import pytest

from system.engine.conftest import names, program, succeeded

PROGRAM = """\
import pulumi, pulumi_llm

config = pulumi.Config()
given = {"deletion_protection": False, "dimensions": config.get_int("dimensions", 1024)}
for name in ("bucket", "prefix"):
    if config.get(name):
        given[name] = config.get(name)
pulumi_llm.KnowledgeBase("knowledge", given)
"""


@pytest.mark.assumes("knowledge-base-replacement")
def test_other_vectors_make_the_data_source_anew_and_other_documents_do_not(tmp_path: Path) -> None:
    with program(tmp_path, PROGRAM, bucket="one") as stack:
        succeeded(stack.up())
        stack.configure({"bucket": "one", "dimensions": "256"})
        done = succeeded(stack.up())
        assert names(done, "replace") == {"knowledge-index", "knowledge-base", "knowledge-source"}
        (base,) = stack.cloud.of_type("aws:bedrock/agentKnowledgeBase:AgentKnowledgeBase")
        (source,) = stack.cloud.of_type("aws:bedrock/agentDataSource:AgentDataSource")
        assert source.id.endswith(f",{base.id}")
        stack.configure({"bucket": "two", "dimensions": "256", "prefix": "handbook/"})
        done = succeeded(stack.up())
        assert names(done, "update") == {"knowledge-source", "knowledge-role-policy"} and not names(done, "replace")
