"""The description of KnowledgeBase's settings. The TypedDicts in args_types.py are generated from it."""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from pulumi_llm.base.location import Location
from pulumi_llm.base.settings import (
    Between,
    Count,
    Customize,
    Flag,
    Input,
    KmsKeyArn,
    ParameterPrefix,
    Problem,
    Region,
    Settings,
    Tags,
    form,
    region_problems,
)
from pulumi_llm.models.catalogue import catalogue

EmbeddingModel = Literal["titan-embed-text-v2", "cohere-embed-english-v3", "cohere-embed-multilingual-v3"]

_Bucket = Annotated[str, form(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", "a bucket's name")]
# The four kinds of schedules: https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html
_Schedule = Annotated[
    str,
    form(
        r"never|rate\([1-9][0-9]{0,4} (minutes?|hours?|days?)\)|cron\([^()]{9,200}\)",
        "a schedule, such as rate(1 hour) or cron(0 3 * * ? *), or never",
    ),
]


class KnowledgeBaseBaseSettings(Settings):
    """What a stack's configuration and a program's arguments say alike."""

    regional = ("kms_key_arn",)

    bucket: Input[_Bucket] | None = None
    """The bucket of the documents, in the component's Region and account. Default: one is made here, private, encrypted and
    with versions."""
    bucket_kms_key_arn: Input[KmsKeyArn] | None = None
    """The customer key that encrypts `bucket`. Default: a key of AWS's."""
    prefix: Annotated[str, Field(min_length=1, max_length=300)] | None = None
    """What the keys of the documents begin with, such as "handbook/". Default: all of the bucket."""
    embedding_model: EmbeddingModel = "titan-embed-text-v2"
    """The model of Bedrock's that makes vectors of passages and of questions. Another one makes the knowledge base anew, and
    the next job ingests everything again."""
    dimensions: Annotated[Count, Between(1, 4096)] | None = None
    """How many numbers a vector has; fewer cost less, and find less exactly. Default: the model's own. Another one makes the
    knowledge base anew."""
    # S3 Vectors takes 40 KB of metadata beside a vector, and the passage is most of it: up to some 10 bytes for each token.
    # https://docs.aws.amazon.com/AmazonS3/latest/userguide/s3-vectors-limitations.html
    chunk_tokens: Annotated[Count, Between(20, 2_048)] = 300
    """How many tokens a passage has at most. Another number makes the data source anew."""
    chunk_overlap_percent: Annotated[Count, Between(1, 99)] = 20
    """How much of a passage the next one repeats, in percent. Another number makes the data source anew."""
    ingest_schedule: _Schedule = "rate(1 day)"
    """When what has changed in the bucket is ingested, in UTC. "never": only by the command
    `aws bedrock-agent start-ingestion-job`."""
    kms_key_arn: Input[KmsKeyArn] | None = None
    """The KMS key of the bucket that is made here, and of the vectors; its policy must let `indexing.s3vectors.amazonaws.com`
    use it. Another one makes everything anew. Default: keys of AWS."""
    deletion_protection: Flag = True
    """Protect the documents and the vectors: `pulumi destroy` refuses before it deletes anything. To destroy the stack, set it
    to false and run `pulumi up` first; they are then deleted with it."""
    customize: Customize = Field(default_factory=dict)
    """Per child, arguments that are merged with the component's own. Default: none."""

    def problems(self) -> Iterator[Problem]:
        if self.given("bucket_kms_key_arn") and not self.given("bucket"):
            yield Problem("bucket_kms_key_arn", "is that of the bucket that is given; kms_key_arn is that of one made here")
        if self.dimensions is not None and self.valid("embedding_model", "dimensions"):
            known = catalogue()[self.embedding_model].dimensions
            if self.dimensions not in known:
                numbers = ", ".join(map(str, sorted(known)))
                yield Problem("dimensions", f"must be {numbers} for {self.embedding_model}, not {self.dimensions}")
        is_cohere = self.valid("embedding_model") and self.embedding_model.startswith("cohere")
        if is_cohere and self.valid("chunk_tokens") and self.chunk_tokens > _COHERE_TOKENS:
            reason = f"must be at most {_COHERE_TOKENS} with {self.embedding_model}, not {self.chunk_tokens}"
            yield Problem("chunk_tokens", reason)

    def place_problems(self, location: Location) -> Iterator[Problem]:
        """Yield what the component's Region lacks."""
        if self.valid("embedding_model") and location.region not in (regions := catalogue()[self.embedding_model].regions):
            there = [name for name in _MODELS if location.region in catalogue()[name].regions]
            instead = f"; {' and '.join(there)} are" if there else ""
            reason = f"is not known to be in {location.region}, only in {', '.join(sorted(regions))}{instead}"
            yield Problem("embedding_model", reason)

    @property
    def is_scheduled(self) -> bool:
        """Whether the clock starts jobs."""
        return self.ingest_schedule != "never"

    @property
    def vector_dimensions(self) -> int:
        """How many numbers a vector has."""
        return self.dimensions or catalogue()[self.embedding_model].dimensions[0]


_MODELS = ("titan-embed-text-v2", "cohere-embed-english-v3", "cohere-embed-multilingual-v3")
# https://docs.aws.amazon.com/bedrock/latest/userguide/kb-chunking.html
_COHERE_TOKENS = 512


class KnowledgeBaseSettings(KnowledgeBaseBaseSettings):
    """The arguments. What decides which resources there are is plain; the rest may be Outputs."""

    region: Region | None = None
    """The Region of the component's AWS provider; another one is a mistake. Default: the provider's."""
    parameter_prefix: ParameterPrefix | None = None
    """Where SSM parameters with the outputs are made, such as "/pulumi-llm/prod/knowledge". Default: none are made."""
    tags: Tags = Field(default_factory=dict)
    """Tags of every resource. Default: none but the component's own."""

    def problems_in(self, location: Location) -> Iterator[Problem]:
        """Yield what is wrong with them at a location."""
        yield from region_problems(self.region, location)
        yield from self.place_problems(location)
