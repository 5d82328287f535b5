"""Jobs' way through a stack: it is made, a second `up` changes nothing, what its settings change, and it goes again."""

from pathlib import Path

import pytest

from system.engine.conftest import names, program, succeeded

PROGRAM = """\
import pulumi, pulumi_llm

config = pulumi.Config()
models = [{"name": "fast", "model": "gpt-oss-20b"}]
api = pulumi_llm.ServerlessBedrockApi(
    "chat", {"models": models, "jobs": True, "access_logs": False, "deletion_protection": False}
)
jobs = {
    "table_name": api.jobs_table_name,
    "table_arn": api.jobs_table_arn,
    "stream_arn": api.jobs_stream_arn,
    "bucket_name": api.jobs_bucket_name,
}
given = {name: config.require_int(name) for name in ("timeout_seconds", "batch_size") if config.get(name)}
pulumi_llm.AsyncInference("jobs", {"models": models, "jobs": jobs, **given})
"""


@pytest.mark.assumes("pipe-replacement")
def test_jobs_come_change_and_go(tmp_path: Path) -> None:
    with program(tmp_path, PROGRAM) as stack:
        succeeded(stack.up())
        done = succeeded(stack.up())
        assert not names(done, "create", "update", "replace", "delete")
        assert stack.cloud.of_type("aws:pipes/pipe:Pipe")
        stack.configure({"timeout_seconds": "60", "batch_size": "2"})
        done = succeeded(stack.up())
        assert names(done, "update") == {"jobs-worker-function", "jobs-worker-alias", "jobs-queue", "jobs-mapping"}
        assert not names(done, "replace", "create", "delete")
        succeeded(stack.destroy())
        assert not stack.cloud.of_type("aws:pipes/pipe:Pipe")
