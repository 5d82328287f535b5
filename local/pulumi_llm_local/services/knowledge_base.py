"""The program's knowledge bases on this machine: each ingests its bucket, which moto holds, when a job is started.

`scheduler` starts jobs by the clock. The run prints the variables by which `aws s3 cp` puts documents into the bucket, and
`aws bedrock-agent start-ingestion-job` ingests them.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote
from xml.etree import ElementTree

import aiohttp

from pulumi_llm_local.program.graph import Graph
from pulumi_llm_local.services import moto
from pulumi_llm_local.services.local_run import LocalRun
from pulumi_llm_local.upstreams.bedrock import knowledge_bases
from pulumi_llm_local.upstreams.bedrock.knowledge_bases import DataSource, LocalKnowledgeBase

KNOWLEDGE_BASE = "aws:bedrock/agentKnowledgeBase:AgentKnowledgeBase"
DATA_SOURCE = "aws:bedrock/agentDataSource:AgentDataSource"
PLAYED = frozenset({KNOWLEDGE_BASE, DATA_SOURCE})
IMPLIED = frozenset({"aws:s3/vectorsIndex:VectorsIndex", "aws:s3/vectorsVectorBucket:VectorsVectorBucket"})
AGENT, _RUNTIME = "AWS_ENDPOINT_URL_BEDROCK_AGENT", "AWS_ENDPOINT_URL_BEDROCK_AGENT_RUNTIME"


async def start(run: LocalRun) -> None:
    """Play the knowledge bases of the program, where Bedrock is played. One that is not the program's is not known here."""
    bases = knowledge_bases_of(run.graph)
    if run.options.aws_bedrock:
        return
    documents = Documents(run.variables[moto.SQS_ENDPOINT], run.graph.region)
    declared = {str(bucket.state["bucket"]) for bucket in run.graph.of_type(moto.BUCKET)}
    async with aiohttp.ClientSession() as session:
        for bucket in sorted(buckets_of(run.graph) - declared):
            await moto.create_bucket(session, documents.url, run.graph.region, bucket)
    app = knowledge_bases.create_app(
        region=run.graph.region, credentials=run.key, knowledge_bases=bases, read_bucket=documents.read
    )
    run.variables[_RUNTIME] = url = await run.serve(app)
    if bases:
        run.bedrock |= {AGENT: url, _RUNTIME: url, moto.S3_ENDPOINT: documents.url}


def knowledge_bases_of(graph: Graph) -> dict[str, LocalKnowledgeBase]:
    """Return the knowledge bases of a program by their ids."""
    found: dict[str, LocalKnowledgeBase] = {}
    for base in graph.of_type(KNOWLEDGE_BASE):
        sources = [each for each in graph.of_type(DATA_SOURCE) if each.state["knowledgeBaseId"] == base.id]
        found[base.id] = LocalKnowledgeBase({each.state["dataSourceId"]: _source(each.state) for each in sources})
    return found


def buckets_of(graph: Graph) -> set[str]:
    """The names of the buckets that are ingested."""
    bases = knowledge_bases_of(graph).values()
    return {source.bucket for base in bases for source in base.sources.values()}


def _source(state: Mapping[str, Any]) -> DataSource:
    documents: Mapping[str, Any] = state["dataSourceConfiguration"]["s3Configuration"]
    ingestion: Mapping[str, Any] = state.get("vectorIngestionConfiguration") or {}
    chunking: Mapping[str, Any] = ingestion.get("chunkingConfiguration") or {}
    size: Mapping[str, Any] = chunking.get("fixedSizeChunkingConfiguration") or {}
    (prefix,) = documents.get("inclusionPrefixes") or ("",)
    bucket = str(documents["bucketArn"]).rpartition(":")[2]
    return DataSource(bucket, prefix, int(size.get("maxTokens") or 300), int(size.get("overlapPercentage") or 20))


class Documents:
    """The buckets in moto, at its URL."""

    def __init__(self, url: str, region: str) -> None:
        self.url = url
        self._headers = moto.scope(region, "s3")

    async def read(self, bucket: str) -> dict[str, bytes]:
        """Return the objects of a bucket by their keys."""
        found: dict[str, bytes] = {}
        async with self._session() as session:
            token = ""
            while True:
                more = f"&continuation-token={quote(token, safe='')}" if token else ""
                async with session.get(f"{self.url}/{bucket}?list-type=2{more}") as response:
                    response.raise_for_status()
                    # It is moto's own.
                    listed = ElementTree.fromstring(await response.read())  # noqa: S314  # nosec B314
                names = (element.text or "" for element in listed.iterfind("{*}Contents/{*}Key"))
                for key in names:
                    async with session.get(f"{self.url}/{bucket}/{quote(key)}") as response:
                        response.raise_for_status()
                        found[key] = await response.read()
                token = listed.findtext("{*}NextContinuationToken") or ""
                if not token:
                    return found

    def _session(self) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(headers=self._headers)
