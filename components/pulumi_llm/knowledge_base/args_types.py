"""The arguments as TypedDicts, for programs and for Pulumi's analyzer. Made by `make docs` from args.py."""

from collections.abc import Mapping
from typing import Any, NotRequired, TypedDict

import pulumi


class KnowledgeBaseArgs(TypedDict):
    """The arguments. What decides which resources there are is plain; the rest may be Outputs."""

    bucket: NotRequired[pulumi.Input[str]]
    """The bucket of the documents, in the component's Region and account. Default: one is made here, private, encrypted and
    with versions."""
    bucket_kms_key_arn: NotRequired[pulumi.Input[str]]
    """The customer key that encrypts `bucket`. Default: a key of AWS's."""
    prefix: NotRequired[str]
    """What the keys of the documents begin with, such as "handbook/". Default: all of the bucket."""
    embedding_model: NotRequired[str]
    """The model of Bedrock's that makes vectors of passages and of questions. Another one makes the knowledge base anew,
    and the next job ingests everything again. Default: "titan-embed-text-v2"."""
    dimensions: NotRequired[int]
    """How many numbers a vector has; fewer cost less, and find less exactly. From 1 to 4,096. Default: the model's own.
    Another one makes the knowledge base anew."""
    chunk_tokens: NotRequired[int]
    """How many tokens a passage has at most. Another number makes the data source anew. From 20 to 2,048. Default: 300."""
    chunk_overlap_percent: NotRequired[int]
    """How much of a passage the next one repeats, in percent. Another number makes the data source anew. From 1 to 99.
    Default: 20."""
    ingest_schedule: NotRequired[str]
    """When what has changed in the bucket is ingested, in UTC. "never": only by the command `aws bedrock-agent start-
    ingestion-job`. Default: "rate(1 day)"."""
    kms_key_arn: NotRequired[pulumi.Input[str]]
    """The KMS key of the bucket that is made here, and of the vectors; its policy must let
    `indexing.s3vectors.amazonaws.com` use it. Another one makes everything anew. Default: keys of AWS."""
    deletion_protection: NotRequired[bool]
    """Protect the documents and the vectors: `pulumi destroy` refuses before it deletes anything. To destroy the stack, set
    it to false and run `pulumi up` first; they are then deleted with it. Default: true."""
    customize: NotRequired[Mapping[str, Mapping[str, Any]]]
    """Per child, arguments that are merged with the component's own. Default: none."""
    region: NotRequired[str]
    """The Region of the component's AWS provider; another one is a mistake. Default: the provider's."""
    parameter_prefix: NotRequired[str]
    """Where SSM parameters with the outputs are made, such as "/pulumi-llm/prod/knowledge". Default: none are made."""
    tags: NotRequired[Mapping[str, pulumi.Input[str]]]
    """Tags of every resource. Default: none but the component's own."""
