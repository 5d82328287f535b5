"""KnowledgeBase: documents of a bucket, which answers are given passages of."""

import hashlib
import json
import re
from collections.abc import Collection, Mapping
from typing import Any, cast

import pulumi
from pulumi_aws import bedrock, get_caller_identity_output, iam, s3, scheduler, sqs, ssm

from pulumi_llm.base.component import Children, Component
from pulumi_llm.base.iam import assume_role, policy_document
from pulumi_llm.base.location import Location
from pulumi_llm.base.parameters import create_parameters
from pulumi_llm.base.settings import read_arguments
from pulumi_llm.knowledge_base import permissions
from pulumi_llm.knowledge_base.args import KnowledgeBaseSettings
from pulumi_llm.knowledge_base.args_types import KnowledgeBaseArgs
from pulumi_llm.knowledge_base.documents import CHILDREN as DOCUMENTS
from pulumi_llm.knowledge_base.documents import create_bucket
from pulumi_llm.models.catalogue import catalogue

PARAMETERS = ("knowledge_base_id", "knowledge_base_arn", "data_source_id", "bucket_name")

# What Bedrock keeps beside a vector: the passage, and its own notes. Filterable metadata may have 2 KB, and a passage has more.
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/s3-vectors-limitations.html
_NOT_FILTERABLE = ("AMAZON_BEDROCK_TEXT", "AMAZON_BEDROCK_METADATA")
# Failed starts of jobs are kept so long.
_FAILURES_SECONDS = 14 * 24 * 60 * 60


class KnowledgeBase(Component):
    """A knowledge base of Bedrock's on S3 Vectors, with the documents of a bucket. It costs what it holds and what it is asked.

    Raises `pulumi.InputPropertiesError` that lists every argument that is wrong.
    """

    CHILDREN = Children(
        {
            **DOCUMENTS,
            "vectors": s3.VectorsVectorBucket,
            "index": s3.VectorsIndex,
            "role": iam.Role,
            "role-policy": iam.RolePolicy,
            "base": bedrock.AgentKnowledgeBase,
            "source": bedrock.AgentDataSource,
            "failures": sqs.Queue,
            "schedule-role": iam.Role,
            "schedule-role-policy": iam.RolePolicy,
            "schedule": scheduler.Schedule,
            "parameter": ssm.Parameter,
        }
    )

    knowledge_base_id: pulumi.Output[str]
    """The knowledge base."""
    knowledge_base_arn: pulumi.Output[str]
    """Its ARN, for `retrieval.knowledge_base_arn` of an API."""
    data_source_id: pulumi.Output[str]
    """The data source, whose jobs ingest the bucket."""
    bucket_name: pulumi.Output[str]
    """The bucket of the documents."""
    index_arn: pulumi.Output[str]
    """The index of their vectors."""
    role_arn: pulumi.Output[str]
    """The role of the knowledge base, for policies of a bucket or a key."""
    failures_queue_url: pulumi.Output[str]
    """The queue of the jobs that the schedule could not start. Empty without a schedule."""

    def __init__(self, name: str, args: KnowledgeBaseArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        settings, location = read_arguments(type(self).__name__, name, KnowledgeBaseSettings, args, self.CHILDREN, opts, _made)
        super().__init__(name, opts, settings.tags, settings.customize)
        self._settings, self._location = settings, location
        self._account = get_caller_identity_output(opts=self.invoke_options()).account_id
        self._model = f"arn:{location.partition}:bedrock:{location.region}::foundation-model/{_foundation_model(settings)}"
        if settings.bucket is None:
            made = create_bucket(self, settings.kms_key_arn, deletion_protection=settings.deletion_protection)
            self.bucket_name, self._bucket_arn = made.bucket, made.arn
        else:
            self.bucket_name = pulumi.Output.from_input(settings.bucket)
            self._bucket_arn = pulumi.Output.format(f"arn:{location.partition}:s3:::{{}}", self.bucket_name)
        vector_bucket, index = self._index()
        self.index_arn = index.index_arn
        base = self._base(vector_bucket, index)
        self.knowledge_base_id, self.knowledge_base_arn = base.id, base.arn
        self.data_source_id = self._source(base).data_source_id
        failures = self._schedule(settings.ingest_schedule) if settings.is_scheduled else None
        self.failures_queue_url = failures.url if failures is not None else pulumi.Output.from_input("")
        if settings.parameter_prefix is not None:
            create_parameters(self, settings.parameter_prefix, PARAMETERS)
        self.finish()

    def _index(self) -> tuple[s3.VectorsVectorBucket, s3.VectorsIndex]:
        """Make the bucket of the vectors and its index.

        Neither gets a name of Pulumi's making. The bucket's is unique in the account and Region by the stack's name; the
        index's changes with what makes it anew, so that the new one can be there before the old one goes.
        """
        settings, protect = self._settings, self._settings.deletion_protection
        key = settings.kms_key_arn
        encryption: dict[str, Any] = (
            {} if key is None else {"encryption_configurations": [{"sse_type": "aws:kms", "kms_key_arn": key}]}
        )
        bucket = s3.VectorsVectorBucket(
            self.child_name("vectors"),
            vector_bucket_name=self._vectors_name(),
            force_destroy=not protect,
            **encryption,
            tags=self.tags,
            # With another key it is made anew under the same name.
            opts=self.child("vectors", protect=protect or None, delete_before_replace=True),
        )
        index = s3.VectorsIndex(
            self.child_name("index"),
            vector_bucket_name=bucket.vector_bucket_name,
            index_name=f"documents-{_digest([settings.embedding_model, settings.vector_dimensions])}",
            data_type="float32",
            dimension=settings.vector_dimensions,
            distance_metric="cosine",
            metadata_configuration={"non_filterable_metadata_keys": list(_NOT_FILTERABLE)},
            **encryption,
            tags=self.tags,
            opts=self.child("index"),
        )
        return bucket, index

    def _vectors_name(self) -> str:
        stack = pulumi.get_stack()
        unique = _digest([pulumi.get_organization(), pulumi.get_project(), stack, self._name])
        short = re.sub("[^a-z0-9]+", "-", stack.lower()).strip("-")[:16]
        return f"{self._name.lower()[:24]}-vectors-{short}-{unique}"

    def _base(self, vector_bucket: s3.VectorsVectorBucket, index: s3.VectorsIndex) -> bedrock.AgentKnowledgeBase:
        settings, location = self._settings, self._location
        source = pulumi.Output.format(
            f"arn:{location.partition}:bedrock:{location.region}:{{}}:knowledge-base/*", self._account
        )
        role = self._role("role", "bedrock.amazonaws.com", source)
        self.role_arn = role.arn
        bucket_key = settings.kms_key_arn if settings.bucket is None else settings.bucket_kms_key_arn
        keys = [key for key in dict.fromkeys([settings.kms_key_arn, bucket_key]) if key is not None]
        statements = permissions.ingest_and_search(
            model_arn=self._model,
            vector_bucket_arn=vector_bucket.vector_bucket_arn,
            bucket_arn=self._bucket_arn,
            objects=pulumi.Output.concat(self._bucket_arn, f"/{settings.prefix or ''}*"),
            prefix=settings.prefix or "",
            account=self._account,
            kms_key_arns=keys,
        )
        policy = self._role_policy("role-policy", role, statements)
        model: dict[str, Any] = {"embedding_model_arn": self._model}
        if len(catalogue()[settings.embedding_model].dimensions) > 1:
            numbers = {"dimensions": settings.vector_dimensions, "embedding_data_type": "FLOAT32"}
            model["embedding_model_configuration"] = {"bedrock_embedding_model_configuration": numbers}
        return bedrock.AgentKnowledgeBase(
            self.child_name("base"),
            description="Documents for the answers of pulumi-llm",
            role_arn=role.arn,
            knowledge_base_configuration=cast(Any, {"type": "VECTOR", "vector_knowledge_base_configuration": model}),
            storage_configuration={"type": "S3_VECTORS", "s3_vectors_configuration": {"index_arn": index.index_arn}},
            tags=self.tags,
            # Bedrock looks at what the role may do when it makes the knowledge base.
            opts=self.child("base", depends_on=[policy]),
        )

    def _source(self, base: bedrock.AgentKnowledgeBase) -> bedrock.AgentDataSource:
        """Make the data source. With it, its vectors are deleted: those of an old one would be found beside the new ones."""
        settings = self._settings
        documents: dict[str, Any] = {"bucket_arn": self._bucket_arn}
        if settings.prefix is not None:
            documents["inclusion_prefixes"] = [settings.prefix]
        size = {"max_tokens": settings.chunk_tokens, "overlap_percentage": settings.chunk_overlap_percent}
        chunking = {"chunking_strategy": "FIXED_SIZE", "fixed_size_chunking_configuration": size}
        return bedrock.AgentDataSource(
            self.child_name("source"),
            knowledge_base_id=base.id,
            data_source_configuration=cast(Any, {"type": "S3", "s3_configuration": documents}),
            vector_ingestion_configuration=cast(Any, {"chunking_configuration": chunking}),
            data_deletion_policy="DELETE",
            # The provider would update it in place, as if the new knowledge base had a data source with the old one's id.
            opts=self.child("source", replace_on_changes=["knowledge_base_id"]),
        )

    def _schedule(self, expression: str) -> sqs.Queue:
        """Start a job by the clock, without a function: EventBridge Scheduler calls Bedrock itself.

        A job that cannot be started, because one is running still, is tried again; then the queue has it.
        https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-targets-universal.html
        """
        location = self._location
        failures = sqs.Queue(
            self.child_name("failures"),
            message_retention_seconds=_FAILURES_SECONDS,
            sqs_managed_sse_enabled=True,
            tags=self.tags,
            opts=self.child("failures"),
        )
        group = f"arn:{location.partition}:scheduler:{location.region}:{{}}:schedule-group/default"
        role = self._role("schedule-role", "scheduler.amazonaws.com", pulumi.Output.format(group, self._account))
        statements = permissions.start_jobs(self.knowledge_base_arn, failures.arn)
        policy = self._role_policy("schedule-role-policy", role, statements)
        job = {"KnowledgeBaseId": self.knowledge_base_id, "DataSourceId": self.data_source_id}
        scheduler.Schedule(
            self.child_name("schedule"),
            description="Ingests what has changed among the documents",
            schedule_expression=expression,
            flexible_time_window={"mode": "FLEXIBLE", "maximum_window_in_minutes": 5},
            target={
                "arn": f"arn:{location.partition}:scheduler:::aws-sdk:bedrockagent:startIngestionJob",
                "role_arn": role.arn,
                "input": pulumi.Output.json_dumps(job),
                "retry_policy": {"maximum_event_age_in_seconds": 3_600, "maximum_retry_attempts": 5},
                "dead_letter_config": {"arn": failures.arn},
            },
            opts=self.child("schedule", depends_on=[policy]),
        )
        return failures

    def _role(self, key: str, service: str, source_arn: pulumi.Output[str]) -> iam.Role:
        def document(values: list[str]) -> str:
            return json.dumps(assume_role(service, *values))

        return iam.Role(
            self.child_name(key),
            assume_role_policy=pulumi.Output.all(self._account, source_arn).apply(document),
            tags=self.tags,
            opts=self.child(key),
        )

    def _role_policy(self, key: str, role: iam.Role, statements: list[dict[str, Any]]) -> iam.RolePolicy:
        policy = pulumi.Output.json_dumps(policy_document(*statements))
        return iam.RolePolicy(self.child_name(key), role=role.name, policy=policy, opts=self.child(key))


def _made(settings: KnowledgeBaseSettings, location: Location) -> Mapping[str, Collection[str]]:
    """What stands behind the keys in the names of their children: nothing where there is none."""
    schedule = ("failures", "schedule-role", "schedule-role-policy", "schedule")
    parameters = [output.replace("_", "-") for output in PARAMETERS] if settings.parameter_prefix else []
    return {
        **dict.fromkeys(DOCUMENTS, ("",) if settings.bucket is None else ()),
        **dict.fromkeys(schedule, ("",) if settings.is_scheduled else ()),
        "parameter": parameters,
    }


def _foundation_model(settings: KnowledgeBaseSettings) -> str:
    return catalogue()[settings.embedding_model].foundation_model


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:8]
