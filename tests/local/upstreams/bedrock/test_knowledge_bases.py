"""Knowledge bases as boto3 sees them: jobs that ingest a bucket, and Retrieve with filters and pages."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from pulumi_llm_local.upstreams.bedrock.knowledge_bases import DataSource, LocalKnowledgeBase, create_app
from support.local_bedrock import KEYS, REGION
from support.web_app import listening
from wire.knowledge_bases import BUCKET, ID, SOURCE, objects

Documents = Mapping[str, tuple[str, Mapping[str, Any] | None]]
SHOP: Documents = {
    "leave.md": ("Every employee has 30 days of leave.", {"tenant": "shop", "year": 2026}),
    "typed.txt": ("Leave is asked for by mail.", {"tenant": {"value": {"type": "STRING", "stringValue": "*"}}}),
    "bank.txt": ("Leave of the bank.", {"tenant": "bank"}),
    "nobody.txt": ("Leave of nobody.", None),
}


class Bucket:
    """The bucket, and the two services before it."""

    def __init__(self, documents: Documents, **source: Any) -> None:
        self.objects = objects(documents)
        self._base = LocalKnowledgeBase({SOURCE: DataSource(BUCKET, **source)})

    async def read(self, bucket: str) -> Mapping[str, bytes]:
        assert bucket == BUCKET
        return self.objects

    async def call(self, service: str, operation: str, secret: str = KEYS.secret_key, **arguments: Any) -> Any:
        app = create_app(region=REGION, credentials=KEYS, knowledge_bases={ID: self._base}, read_bucket=self.read)
        async with listening(app) as url:
            client: Any = boto3.client(
                service,  # pyright: ignore[reportArgumentType]
                endpoint_url=url,
                region_name=REGION,
                aws_access_key_id=KEYS.access_key,
                aws_secret_access_key=secret,
                config=Config(retries={"total_max_attempts": 1}, proxies={}, read_timeout=10),
            )
            return await asyncio.to_thread(lambda: getattr(client, operation)(**arguments))

    async def ingest(self) -> dict[str, int]:
        names = {"knowledgeBaseId": ID, "dataSourceId": SOURCE}
        started = await self.call("bedrock-agent", "start_ingestion_job", **names)
        job = started["ingestionJob"]
        assert job["status"] == "STARTING"
        ended = await self.call("bedrock-agent", "get_ingestion_job", ingestionJobId=job["ingestionJobId"], **names)
        assert ended["ingestionJob"]["status"] == "COMPLETE"
        return ended["ingestionJob"]["statistics"]

    async def retrieve(self, text: str = "leave", base: str = ID, token: str | None = None, **search: Any) -> Any:
        more = {"nextToken": token} if token else {}
        return await self.call(
            "bedrock-agent-runtime",
            "retrieve",
            knowledgeBaseId=base,
            retrievalQuery={"text": text},
            retrievalConfiguration={"vectorSearchConfiguration": search},
            **more,
        )


def names(answer: Any) -> list[str]:
    return [result["location"]["s3Location"]["uri"].rpartition("/")[2] for result in answer["retrievalResults"]]


async def test_a_document_is_found_when_a_job_has_ingested_it() -> None:
    bucket = Bucket(SHOP)
    assert names(await bucket.retrieve()) == []
    statistics = await bucket.ingest()
    assert (statistics["numberOfDocumentsScanned"], statistics["numberOfNewDocumentsIndexed"]) == (4, 4)
    answer = await bucket.retrieve("How many days has every employee?", numberOfResults=1)
    (result,) = answer["retrievalResults"]
    assert result["content"] == {"text": SHOP["leave.md"][0], "type": "TEXT"} and 0 < result["score"] <= 1
    assert result["metadata"]["tenant"] == "shop" and result["metadata"]["x-amz-bedrock-kb-source-uri"].endswith("leave.md")
    bucket.objects = objects({"leave.md": ("There is no leave.", {"tenant": "shop"})})
    statistics = await bucket.ingest()
    assert (statistics["numberOfModifiedDocumentsIndexed"], statistics["numberOfDocumentsDeleted"]) == (1, 3)
    assert names(await bucket.retrieve()) == ["leave.md"]


FILTERS: dict[str, tuple[Any, set[str]]] = {
    "equals": ({"equals": {"key": "tenant", "value": "shop"}}, {"leave.md"}),
    "in": ({"in": {"key": "tenant", "value": ["shop", "*"]}}, {"leave.md", "typed.txt"}),
    "not equals": ({"notEquals": {"key": "tenant", "value": "shop"}}, {"typed.txt", "bank.txt", "nobody.txt"}),
    "and": (
        {"andAll": [{"equals": {"key": "tenant", "value": "shop"}}, {"greaterThan": {"key": "year", "value": 2026}}]},
        set(),
    ),
    "or": (
        {"orAll": [{"equals": {"key": "tenant", "value": "bank"}}, {"lessThanOrEquals": {"key": "year", "value": 2026}}]},
        {"bank.txt", "leave.md"},
    ),
}


@pytest.mark.parametrize(("filter", "found"), FILTERS.values(), ids=FILTERS)
async def test_a_filter_is_kept_to(filter: Any, found: set[str]) -> None:
    bucket = Bucket(SHOP)
    await bucket.ingest()
    assert set(names(await bucket.retrieve(filter=filter))) == found


async def test_many_results_come_in_pages() -> None:
    bucket = Bucket({f"{number:02}.txt": (f"leave {number}", {}) for number in range(30)})
    await bucket.ingest()
    first = await bucket.retrieve(numberOfResults=15)
    second = await bucket.retrieve(numberOfResults=15, token=first["nextToken"])
    assert (len(names(first)), len(names(second)), "nextToken" in second) == (10, 5, False)
    assert len({*names(first), *names(second)}) == 15
    with pytest.raises(ClientError, match="nextToken is invalid"):
        await bucket.retrieve("another question", numberOfResults=15, token=first["nextToken"])


async def test_a_long_document_has_passages_that_overlap() -> None:
    bucket = Bucket({"a.txt": (" ".join(map(str, range(100))), {})}, tokens=40, overlap=50)
    await bucket.ingest()
    texts = [result["content"]["text"] for result in (await bucket.retrieve("1", numberOfResults=20))["retrievalResults"]]
    assert sorted(texts, key=len)[0] and {"0", "99"} <= set(" ".join(texts).split())
    assert all(len(text.split()) <= 40 for text in texts) and len(texts) == 4


async def test_what_cannot_be_ingested_is_counted() -> None:
    bucket = Bucket({"a.txt": ("leave", {"tenant": "x" * 2_000}), "b.pdf": ("leave", {}), "c.txt": ("leave", {})})
    bucket.objects["d.txt"] = b"\xff\xfe"
    bucket.objects["c.txt.metadata.json"] = json.dumps({"other": {}}).encode()
    assert (await bucket.ingest())["numberOfDocumentsFailed"] == 4
    del bucket.objects["c.txt.metadata.json"]
    statistics = await bucket.ingest()
    assert (statistics["numberOfDocumentsFailed"], statistics["numberOfNewDocumentsIndexed"]) == (3, 1)


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no question": ({"text": " "}, "ValidationException"),
    "too many results": ({"numberOfResults": 101}, "ValidationException"),
    "a search by words": ({"overrideSearchType": "HYBRID"}, "ValidationException"),
    "a filter by beginnings": ({"filter": {"startsWith": {"key": "tenant", "value": "s"}}}, "ValidationException"),
    "a list for a text": ({"filter": {"in": {"key": "tenant", "value": "shop"}}}, "ValidationException"),
    "another knowledge base": ({"base": "ZZZZZZZZZZ"}, "ResourceNotFoundException"),
}


@pytest.mark.parametrize(("asked", "code"), REFUSED.values(), ids=REFUSED)
async def test_what_aws_refuses_is_refused(asked: dict[str, Any], code: str) -> None:
    bucket = Bucket(SHOP)
    await bucket.ingest()
    with pytest.raises(ClientError) as refused:
        await bucket.retrieve(**asked)
    assert refused.value.response["Error"]["Code"] == code


async def test_a_wrong_signature_is_refused() -> None:
    with pytest.raises(ClientError) as refused:
        await Bucket(SHOP).call(
            "bedrock-agent-runtime", "retrieve", secret="wrong", knowledgeBaseId=ID, retrievalQuery={"text": "leave"}
        )
    assert refused.value.response["Error"]["Code"] == "InvalidSignatureException"
