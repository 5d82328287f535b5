"""The knowledge base: its resources, who may read what, and what an API that asks it gets."""

import json
from typing import Any

import pulumi
import pytest

import pulumi_llm
from llm_gateway.retrieval import Retrieval
from support import programs
from support.programs import MODELS, Recording

ACCOUNT = "123456789012"
ARN = f"arn:aws:bedrock:us-east-1:{ACCOUNT}:knowledge-base/ABCDEFGHIJ"
KEY = f"arn:aws:kms:us-east-1:{ACCOUNT}:key/1234abcd-12ab-34cd-56ef-1234567890ab"
BUCKET = "documents-of-ours"


def made(**settings: Any) -> Recording:
    return programs.run(lambda: pulumi_llm.KnowledgeBase("knowledge", settings))


def statements(recording: Recording, name: str) -> dict[str, Any]:
    return {each["Sid"]: each for each in json.loads(recording.inputs(name)["policy"])["Statement"]}


@pytest.mark.assumes("knowledge-base-metadata")
@pytest.mark.assumes("s3-vectors-regions")
def test_passages_are_kept_beside_their_vectors_and_cannot_be_filtered_by() -> None:
    recording = made()
    index = recording.inputs("knowledge-index")
    assert (index["dataType"], index["dimension"], index["distanceMetric"]) == ("float32", 1024, "cosine")
    assert index["metadataConfiguration"] == {"nonFilterableMetadataKeys": ["AMAZON_BEDROCK_TEXT", "AMAZON_BEDROCK_METADATA"]}
    base = recording.inputs("knowledge-base")
    assert base["storageConfiguration"] == {
        "type": "S3_VECTORS",
        "s3VectorsConfiguration": {"indexArn": recording.named("knowledge-index").state["indexArn"]},
    }
    vectors = base["knowledgeBaseConfiguration"]["vectorKnowledgeBaseConfiguration"]
    assert vectors["embeddingModelArn"] == "arn:aws:bedrock:us-east-1::foundation-model/amazon.titan-embed-text-v2:0"
    numbers = vectors["embeddingModelConfiguration"]["bedrockEmbeddingModelConfiguration"]
    assert numbers == {"dimensions": 1024, "embeddingDataType": "FLOAT32"}


def test_the_knowledge_base_may_do_what_it_does_and_no_more() -> None:
    recording = made()
    found = statements(recording, "knowledge-role-policy")
    bucket = recording.named("knowledge-documents").state["arn"]
    own = {"StringEquals": {"aws:ResourceAccount": ACCOUNT}}
    assert {sid: (each["Action"], each["Resource"], each.get("Condition")) for sid, each in found.items()} == {
        "EmbedTexts": (
            ["bedrock:InvokeModel"],
            "arn:aws:bedrock:us-east-1::foundation-model/amazon.titan-embed-text-v2:0",
            None,
        ),
        "UseIndexes": (
            [f"s3vectors:{action}" for action in ("DeleteVectors", "GetIndex", "GetVectors", "PutVectors", "QueryVectors")],
            f"{recording.named('knowledge-vectors').state['vectorBucketArn']}/index/*",
            None,
        ),
        "ListDocuments": (["s3:ListBucket"], bucket, own),
        "ReadDocuments": (["s3:GetObject"], f"{bucket}/*", own),
    }
    trust = json.loads(recording.inputs("knowledge-role")["assumeRolePolicy"])["Statement"][0]
    assert trust["Principal"] == {"Service": "bedrock.amazonaws.com"}
    assert trust["Condition"] == {
        "StringEquals": {"aws:SourceAccount": ACCOUNT},
        "ArnLike": {"aws:SourceArn": f"arn:aws:bedrock:us-east-1:{ACCOUNT}:knowledge-base/*"},
    }


@pytest.mark.assumes("scheduled-ingestion")
def test_a_schedule_starts_jobs_without_a_function() -> None:
    recording = made(ingest_schedule="rate(2 hours)")
    schedule = recording.inputs("knowledge-schedule")
    assert schedule["scheduleExpression"] == "rate(2 hours)"
    target = schedule["target"]
    assert target["arn"] == "arn:aws:scheduler:::aws-sdk:bedrockagent:startIngestionJob"
    base, source = recording.named("knowledge-base"), recording.named("knowledge-source")
    assert json.loads(target["input"]) == {"KnowledgeBaseId": base.id, "DataSourceId": source.state["dataSourceId"]}
    assert target["deadLetterConfig"] == {"arn": recording.named("knowledge-failures").state["arn"]}
    found = statements(recording, "knowledge-schedule-role-policy")
    assert found["StartJobs"]["Action"] == ["bedrock:StartIngestionJob"] and found["StartJobs"]["Resource"] == base.state["arn"]
    trust = json.loads(recording.inputs("knowledge-schedule-role")["assumeRolePolicy"])["Statement"][0]
    assert trust["Condition"]["ArnLike"]["aws:SourceArn"].endswith(f":{ACCOUNT}:schedule-group/default")


def test_without_a_schedule_nothing_starts_jobs() -> None:
    names = {resource.name for resource in made(ingest_schedule="never").of_type()}
    assert not {name for name in names if "schedule" in name or "failures" in name} and "knowledge-source" in names


def test_the_bucket_is_private_encrypted_and_has_versions() -> None:
    recording = made(kms_key_arn=KEY)
    rule = recording.inputs("knowledge-documents-encryption")["rules"][0]
    assert rule["applyServerSideEncryptionByDefault"] == {"sseAlgorithm": "aws:kms", "kmsMasterKeyId": KEY}
    assert recording.inputs("knowledge-documents-versioning")["versioningConfiguration"] == {"status": "Enabled"}
    assert all(
        value is True for name, value in recording.inputs("knowledge-documents-access-block").items() if name != "bucket"
    )
    for name in ("knowledge-vectors", "knowledge-index"):
        assert recording.inputs(name)["encryptionConfigurations"] == [{"sseType": "aws:kms", "kmsKeyArn": KEY}]
    assert statements(recording, "knowledge-role-policy")["UseKeys"]["Resource"] == [KEY]


def test_a_bucket_may_be_given_and_a_part_of_it() -> None:
    def program() -> None:
        given: Any = {"bucket": pulumi.Output.from_input(BUCKET), "bucket_kms_key_arn": KEY, "prefix": "handbook/"}
        pulumi_llm.KnowledgeBase("knowledge", given)

    recording: Recording = programs.run(program)
    assert not [resource for resource in recording.of_type() if resource.type.startswith("aws:s3/bucket")]
    configuration = recording.inputs("knowledge-source")["dataSourceConfiguration"]
    assert configuration["s3Configuration"] == {"bucketArn": f"arn:aws:s3:::{BUCKET}", "inclusionPrefixes": ["handbook/"]}
    found = statements(recording, "knowledge-role-policy")
    assert found["ReadDocuments"]["Resource"] == f"arn:aws:s3:::{BUCKET}/handbook/*"
    assert found["ListDocuments"]["Condition"]["StringLike"] == {"s3:prefix": "handbook/*"}
    assert found["UseKeys"]["Resource"] == [KEY]


def test_documents_and_vectors_are_protected_or_go_with_the_stack() -> None:
    kept, dropped = made(), made(deletion_protection=False)
    for name in ("knowledge-documents", "knowledge-vectors"):
        assert kept.inputs(name)["forceDestroy"] is False and dropped.inputs(name)["forceDestroy"] is True
    assert dropped.inputs("knowledge-source")["dataDeletionPolicy"] == "DELETE"


def test_another_model_makes_an_index_of_another_name() -> None:
    first, second = made(), made(embedding_model="cohere-embed-multilingual-v3")
    assert first.inputs("knowledge-index")["indexName"] != second.inputs("knowledge-index")["indexName"]
    assert first.inputs("knowledge-vectors")["vectorBucketName"] == second.inputs("knowledge-vectors")["vectorBucketName"]
    vectors = second.inputs("knowledge-base")["knowledgeBaseConfiguration"]["vectorKnowledgeBaseConfiguration"]
    assert "embeddingModelConfiguration" not in vectors  # AWS takes it for models with several lengths alone


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "dimensions": ({"dimensions": 300}, "dimensions: must be 256, 512, 1024 for titan-embed-text-v2, not 300"),
    "a key without its bucket": ({"bucket_kms_key_arn": KEY}, "bucket_kms_key_arn: is that of the bucket that is given"),
    "a schedule": ({"ingest_schedule": "daily"}, "ingest_schedule: 'daily' is not of the form of a schedule, such as rate"),
    "chunks": (
        {"embedding_model": "cohere-embed-english-v3", "chunk_tokens": 600},
        "chunk_tokens: must be at most 512 with cohere-embed-english-v3, not 600",
    ),
    "chunks of more than a vector's metadata": ({"chunk_tokens": 2_049}, "chunk_tokens: must be"),
    "a model": ({"embedding_model": "gpt"}, "embedding_model: must be"),
}


@pytest.mark.parametrize(("settings", "reason"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_refused(settings: dict[str, Any], reason: str) -> None:
    with pytest.raises(pulumi.InputPropertiesError) as refused:
        made(**settings)
    assert reason in str(refused.value)


# What asks it.


def _ask(number: int, retrieval: Any) -> None:
    """An API, over REST or WebSockets, with these settings."""
    models = [*MODELS, {"name": "vectors", "model": "titan-embed-text-v2"}]
    given: Any = {"auth": "none", "models": models, "retrieval": retrieval}
    if number == 0:
        pulumi_llm.ServerlessBedrockApi("chat", given)
    else:
        pulumi_llm.WebSocketChat("chat", given)


@pytest.mark.parametrize(
    ("number", "policy"), [(0, "chat-retrieval-policy"), (1, "chat-generations-policy")], ids=["rest", "websocket"]
)
def test_an_api_may_ask_this_knowledge_base_alone(number: int, policy: str) -> None:
    def program() -> None:
        _ask(number, {"knowledge_base_arn": pulumi.Output.from_input(ARN), "results": 8, "when_unavailable": "answer"})

    recording: Recording = programs.run(program)
    found = statements(recording, policy)["RetrievePassages"]
    assert (found["Action"], found["Resource"]) == (["bedrock:Retrieve"], ARN)
    functions = recording.of_type("aws:lambda/function:Function")
    environments = [each.inputs["environment"]["variables"] for each in functions]
    assert [each["KNOWLEDGE_BASE_ID"] for each in environments if "KNOWLEDGE_BASE_ID" in each] == ["ABCDEFGHIJ"]


def test_the_routes_name_the_aliases_that_chat() -> None:
    from pulumi_llm.api_edge.retrieval import RetrievalSettings

    used = RetrievalSettings(knowledge_base_arn=ARN, results=8, when_unavailable="answer").document(("fast", "good"))
    assert used == Retrieval(("fast", "good"), results=8, answer_without=True)
    assert RetrievalSettings(aliases=("good",)).document(("fast", "good")) == Retrieval(("good",))


WRONG_USES: dict[str, tuple[dict[str, Any], str]] = {
    "no knowledge base": ({}, "retrieval.knowledge_base_arn: is required"),
    "an unknown alias": ({"knowledge_base_arn": ARN, "aliases": ["slow"]}, "retrieval.aliases[0]: there is no alias 'slow'"),
    "embeddings": ({"knowledge_base_arn": ARN, "aliases": ["vectors"]}, "retrieval.aliases[0]: 'vectors' makes embeddings"),
    "an id": ({"knowledge_base_arn": "ABCDEFGHIJ"}, "'ABCDEFGHIJ' is not of the form of a knowledge base's ARN"),
    "elsewhere": ({"knowledge_base_arn": ARN.replace("us-east-1", "eu-west-1")}, "retrieval.knowledge_base_arn"),
    "too many": ({"knowledge_base_arn": ARN, "results": 21}, "retrieval.results: must be"),
}


@pytest.mark.parametrize("number", [0, 1], ids=["rest", "websocket"])
@pytest.mark.parametrize(("retrieval", "reason"), WRONG_USES.values(), ids=WRONG_USES)
def test_a_wrong_use_is_refused(retrieval: dict[str, Any], reason: str, number: int) -> None:
    with pytest.raises(pulumi.InputPropertiesError) as refused:
        programs.run(lambda: _ask(number, retrieval))
    assert reason in str(refused.value)


@pytest.mark.parametrize("name", ["know--ledge", "knowledge-", "know.ledge", "-knowledge"])
def test_a_name_of_which_bedrock_makes_none_is_refused(name: str) -> None:
    with pytest.raises(pulumi.InputPropertiesError, match="of which AWS takes letters and digits, with single"):
        programs.run(lambda: pulumi_llm.KnowledgeBase(name, {"bucket": BUCKET}))
