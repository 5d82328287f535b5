"""Where jobs are: their table, and the bucket of what they ask and of their results."""

from collections.abc import Mapping
from typing import Any, NamedTuple, Self

import pulumi
from pulumi_aws import dynamodb

from llm_gateway import environment as variables
from llm_gateway.aws.regions import dns_suffix
from llm_gateway.tables import (
    BATCHES_PREFIX,
    FILE_OBJECTS_KEPT_DAYS,
    FILES_PREFIX,
    JOBS,
    JOBS_BY_OWNER,
    JOBS_KEPT_DAYS,
    JOBS_OPEN,
    JOBS_PREFIX,
)
from pulumi_llm.api_edge.tables import UsedTable, expiring_table
from pulumi_llm.api_edge.used import JobsSettings
from pulumi_llm.base.component import Component
from pulumi_llm.base.iam import allow
from pulumi_llm.base.location import Location
from pulumi_llm.base.private_bucket import children, private_bucket

CHILDREN: Mapping[str, type[pulumi.Resource] | str] = {"jobs-table": dynamodb.Table, **children("jobs-bucket")}


class UsedJobs(NamedTuple):
    """The table and the bucket of jobs. `kms_key_arn` encrypts the bucket; None: S3's own keys."""

    table: UsedTable
    bucket: pulumi.Input[str]
    bucket_arn: pulumi.Input[str]
    kms_key_arn: pulumi.Input[str] | None

    @classmethod
    def of(cls, settings: JobsSettings, location: Location) -> Self:
        """The jobs of another component."""
        bucket_arn = pulumi.Output.format(f"arn:{location.partition}:s3:::{{}}", settings.bucket_name)
        table = UsedTable(settings.table_name, settings.table_arn, settings.kms_key_arn)
        return cls(table, settings.bucket_name, bucket_arn, settings.kms_key_arn)

    @property
    def variables(self) -> dict[str, pulumi.Input[str]]:
        """The environment of a function that uses them."""
        return {variables.JOBS_TABLE: self.table.name, variables.JOBS_BUCKET: self.bucket}

    def submit(self, location: Location, *, batches: bool = False) -> list[dict[str, Any]]:
        """Statements that allow to take jobs, to cancel them, and to tell their callers of them; and `batches`, with files."""
        indexes = [pulumi.Output.concat(self.table.arn, f"/index/{index.name}") for index in (JOBS_BY_OWNER, JOBS_OPEN)]
        files = pulumi.Output.concat(self.bucket_arn, f"/{FILES_PREFIX}*")
        return [
            *self.table.allow("Use", "Jobs", *(["BatchGetItem"] if batches else []), "GetItem", "PutItem", "UpdateItem"),
            allow("ListJobs", ["dynamodb:Query"], indexes),
            *self._objects(location),
            *([allow("Files", ["s3:DeleteObject", "s3:GetObject", "s3:PutObject"], files)] if batches else []),
        ]

    def work_off(self, location: Location) -> list[dict[str, Any]]:
        """Statements that allow to work jobs off."""
        return [*self.table.allow("Use", "Jobs", "GetItem", "UpdateItem"), *self._objects(location)]

    def batch_steps(self) -> list[dict[str, Any]]:
        """Statements that allow, besides those to work jobs off, to work batches off."""
        places = [pulumi.Output.concat(self.bucket_arn, f"/{prefix}*") for prefix in (BATCHES_PREFIX, FILES_PREFIX)]
        return [
            allow("WriteFiles", ["dynamodb:PutItem"], self.table.arn),
            allow("BatchObjects", ["s3:AbortMultipartUpload", "s3:GetObject", "s3:PutObject"], places),
        ]

    def read_chunks(self, location: Location) -> list[dict[str, Any]]:
        """Statements that allow to read what batches are divided into."""
        chunks = pulumi.Output.concat(self.bucket_arn, f"/{BATCHES_PREFIX}*/chunks.jsonl")
        statements = [allow("ReadChunks", ["s3:GetObject"], chunks)]
        if self.kms_key_arn is not None:
            statements.append(allow("DecryptChunks", ["kms:Decrypt"], self.kms_key_arn, _through_s3(location)))
        return statements

    def _objects(self, location: Location) -> list[dict[str, Any]]:
        objects = pulumi.Output.concat(self.bucket_arn, f"/{JOBS_PREFIX}*")
        statements = [
            allow("JobObjects", ["s3:GetObject", "s3:PutObject"], objects),
            # Without it, S3 says 403 of an object that is not there. A condition on the prefix would take that away again: a
            # read has none. https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html
            allow("FindObjects", ["s3:ListBucket"], self.bucket_arn),
        ]
        if self.kms_key_arn is not None:
            actions = ["kms:Decrypt", "kms:GenerateDataKey"]
            statements.append(allow("EncryptJobs", actions, self.kms_key_arn, _through_s3(location)))
        return statements


def _through_s3(location: Location) -> dict[str, Any]:
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingKMSEncryption.html"""
    return {"StringEquals": {"kms:ViaService": f"s3.{location.region}.{dns_suffix(location.region)}"}}


class MadeJobs(NamedTuple):
    """The table of jobs as it is made, and where jobs are."""

    table: dynamodb.Table
    used: UsedJobs


def make_jobs(
    component: Component, kms_key_arn: pulumi.Input[str] | None, *, deletion_protection: bool, batches: bool
) -> MadeJobs:
    """Make the table, whose stream tells of every change of a job, and the bucket, which holds `batches`, too."""
    # A job writes some six times, its indexes five times; who waits for it reads.
    table = expiring_table(
        component,
        "jobs-table",
        JOBS,
        kms_key_arn,
        reads=2_000,
        writes=5_000,
        deletion_protection=deletion_protection,
        indexes=(JOBS_BY_OWNER, JOBS_OPEN),
        stream=True,
    )
    lifecycle = [_kept("jobs", JOBS_PREFIX, JOBS_KEPT_DAYS)]
    if batches:
        lifecycle.append(_kept("files", FILES_PREFIX, FILE_OBJECTS_KEPT_DAYS))
        lifecycle.append(_kept("batches", BATCHES_PREFIX, JOBS_KEPT_DAYS))
    bucket = private_bucket(component, "jobs-bucket", kms_key_arn, lifecycle=lifecycle, force_destroy=not deletion_protection)
    return MadeJobs(table, UsedJobs(UsedTable(table.name, table.arn), bucket.bucket, bucket.arn, kms_key_arn))


def _kept(id: str, prefix: str, days: int) -> dict[str, Any]:
    """The rule of a bucket's lifecycle by which objects are kept for so many days."""
    return {"id": id, "filter": {"prefix": prefix}, "expiration": {"days": days}}
