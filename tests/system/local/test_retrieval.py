"""Retrieval over the whole local run: documents in the bucket, a job, and answers over REST, streams and WebSockets."""

import pytest

from system.local.conftest import events
from system.local.documents import aws_client, source_of, stack_with_documents
from system.local.test_websocket import ask, connected, messages_until_end

pytestmark = pytest.mark.timeout(300)

DOCUMENTS = {
    "leave.md": ("Leave: 30 days a year.", {"tenant": "default"}),
    "all.md": ("Office: nine to five.", {"tenant": "*"}),
    "x.md": ("Leave!", {"tenant": "x"}),
}
QUESTION = "How many days of leave?"


async def test_answers_cite_documents_of_the_callers_tenant_on_every_transport() -> None:
    with stack_with_documents(DOCUMENTS) as stack:
        answer = stack.post("/chat", {"message": QUESTION}).json()
        stream = stack.post("/chat/stream", {"message": QUESTION})
        async with connected(stack) as websocket:
            await ask(websocket, action="chat", id="one", message=QUESTION)
            messages = await messages_until_end(websocket)
        jobs = aws_client("bedrock-agent", stack).list_ingestion_jobs(**source_of(stack))["ingestionJobSummaries"]
    cited = [answer["citations"], events(stream.text.splitlines())[0][2]["citations"], messages[0]["citations"]]
    for citations in cited:
        assert [each["title"] for each in citations] == ["leave.md", "all.md"]
        assert citations[0]["source"] == f"s3://{stack.outputs['documents_bucket']}/leave.md"
    # The schedule, rate(1 day), began with the run; the other job is the test's.
    assert [each["status"] for each in jobs] == ["COMPLETE", "COMPLETE"]
    assert [each["statistics"]["numberOfDocumentsScanned"] for each in jobs] == [0, 3]
