"""`pulumi-llm jobs requeue`: open jobs that nothing has been heard of for long are given to the workers again.

Such a job waits for a message that will not come: its event was lost, or its message was deleted or has expired. The command
queues it anew, and an event is made of that, as of a new job. So a message goes the usual way to the queue of the job's alias.
Where the job has a message all the same, whichever comes second is done.
"""

import time
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from llm_gateway.tables import JOB_ACCEPTED, JOB_EVENT, JOB_STATUS, JOBS, JOBS_OPEN

# What is stuck: a job that has been due for so long, or whose worker has not renewed its lease for so long.
_STUCK = (
    "#expires > :now AND (attribute_not_exists(#due) OR #due < :then)"
    " AND (#status = :queued OR (#status = :running AND #lease < :then))"
)


def run(
    table: Annotated[str, typer.Argument(help="The ARN of the table of jobs.", metavar="TABLE_ARN")],
    minutes: Annotated[
        int, typer.Option(help="Requeue what should have run, or ended, so long ago. More than jobs wait for a worker.", min=15)
    ] = 60,
) -> None:
    """Give jobs whose messages were lost to the workers again. Writes their ids.

    \f
    The credentials are those of the AWS CLI, and the Region is the table's. The exit code is 1 after an error of AWS's, 2 if
    the ARN is none of a table's.
    """
    try:
        import botocore.session
        from botocore.exceptions import BotoCoreError, ClientError
    except ImportError as error:
        typer.echo(f"this command needs more packages ({error.name} is missing): pip install 'pulumi-llm[local]'", err=True)
        raise typer.Exit(1) from None
    parts = table.split(":")
    if len(parts) != 6 or parts[2] != "dynamodb" or not parts[5].startswith("table/"):
        typer.echo("error: give the table by its ARN, such as arn:aws:dynamodb:us-east-1:123456789012:table/jobs", err=True)
        raise typer.Exit(2)
    session: Any = botocore.session.Session()
    try:
        dynamodb: Any = session.create_client("dynamodb", region_name=parts[3])
        count = _requeued(dynamodb, parts[5].removeprefix("table/"), time.time(), minutes * 60)
    except (BotoCoreError, ClientError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None
    typer.echo(f"{count:,} jobs were requeued", err=True)


def _requeued(dynamodb: Any, table: str, now: float, seconds: int) -> int:
    """Requeue what is stuck, and return how many jobs that are."""
    then, count = now - seconds, 0
    created = datetime.fromtimestamp(then, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    pages: Any = dynamodb.get_paginator("scan").paginate(
        TableName=table,
        IndexName=JOBS_OPEN.name,
        FilterExpression="#created < :then",
        ExpressionAttributeNames={"#created": JOBS_OPEN.sort_key},
        ExpressionAttributeValues={":then": {"S": created}},
    )
    for page in pages:
        for item in page["Items"]:
            id = item[JOBS.hash_key]
            try:
                dynamodb.update_item(
                    TableName=table,
                    Key={JOBS.hash_key: id},
                    UpdateExpression="SET #event = :accepted, #status = :queued, #due = :now ADD #version :one REMOVE #lease",
                    ConditionExpression=_STUCK,
                    ExpressionAttributeNames={
                        "#event": JOB_EVENT,
                        "#status": JOB_STATUS,
                        "#expires": JOBS.ttl_attribute,
                        "#due": "due",
                        "#lease": "lease",
                        "#version": "version",
                    },
                    ExpressionAttributeValues={
                        ":accepted": {"S": JOB_ACCEPTED},
                        ":queued": {"S": "queued"},
                        ":running": {"S": "running"},
                        ":one": {"N": "1"},
                        ":now": {"N": str(int(now))},
                        ":then": {"N": str(int(then))},
                    },
                )
            except dynamodb.exceptions.ConditionalCheckFailedException:
                continue
            count += 1
            typer.echo(id["S"])
    return count
