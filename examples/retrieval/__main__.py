"""A chat API that answers with passages of documents, of each tenant its own, and cites them."""

import pulumi

import pulumi_llm

tags = {"Project": pulumi.get_project(), "Environment": pulumi.get_stack()}

knowledge = pulumi_llm.KnowledgeBase(
    "knowledge",
    {
        "chunk_tokens": 200,
        "ingest_schedule": "rate(1 hour)",
        # The documents are not only here, and go with the stack.
        "deletion_protection": False,
        "tags": tags,
    },
)
api = pulumi_llm.ServerlessBedrockApi(
    "chat",
    {
        "models": [{"name": "fast", "model": "gpt-oss-20b"}],
        "keys": [{"name": "shop", "tenant": "shop"}, {"name": "bank", "tenant": "bank"}],
        "retrieval": {
            "knowledge_base_arn": knowledge.knowledge_base_arn,
            "results": 4,
            "min_score": 0.2,
            "when_unavailable": "answer",
        },
        "access_logs": False,
        "tags": tags,
    },
)

pulumi.export("api_gateway_url", api.url)
pulumi.export("api_keys", api.api_keys)
pulumi.export("documents_bucket", knowledge.bucket_name)
pulumi.export("knowledge_base_id", knowledge.knowledge_base_id)
pulumi.export("data_source_id", knowledge.data_source_id)
