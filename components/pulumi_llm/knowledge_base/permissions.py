"""What the knowledge base itself may do, and what starts its jobs.

https://docs.aws.amazon.com/bedrock/latest/userguide/kb-permissions.html
"""

from typing import Any

import pulumi

from pulumi_llm.base.iam import allow

# What S3 Vectors needs for writing, and for questions with filters, of which GetVectors returns the metadata.
_INDEX_ACTIONS = ("DeleteVectors", "GetIndex", "GetVectors", "PutVectors", "QueryVectors")


def ingest_and_search(
    *, model_arn: str, vector_bucket_arn: Any, bucket_arn: Any, objects: Any, prefix: str, account: Any, kms_key_arns: list[Any]
) -> list[dict[str, Any]]:
    """Statements that allow to read these documents, to embed them, and to keep and find their vectors in this bucket.

    In all its indexes: when another model makes one anew, the vectors of the old one are deleted after that, by the same role.
    """
    own = {"StringEquals": {"aws:ResourceAccount": account}}
    listing = {**own, "StringLike": {"s3:prefix": f"{prefix}*"}} if prefix else own
    indexes = pulumi.Output.concat(vector_bucket_arn, "/index/*")
    statements = [
        allow("EmbedTexts", ["bedrock:InvokeModel"], model_arn),
        allow("UseIndexes", [f"s3vectors:{action}" for action in _INDEX_ACTIONS], indexes),
        allow("ListDocuments", ["s3:ListBucket"], bucket_arn, listing),
        allow("ReadDocuments", ["s3:GetObject"], objects, own),
    ]
    if kms_key_arns:
        statements.append(allow("UseKeys", ["kms:Decrypt", "kms:GenerateDataKey"], kms_key_arns))
    return statements


def start_jobs(knowledge_base_arn: Any, failures_arn: Any) -> list[dict[str, Any]]:
    """Statements that allow to start jobs of this knowledge base, and to keep what could not be started."""
    return [
        allow("StartJobs", ["bedrock:StartIngestionJob"], knowledge_base_arn),
        allow("KeepFailures", ["sqs:SendMessage"], failures_arn),
    ]
