"""`pulumi-llm jobs requeue`: open jobs that nothing has been heard of for long are given to the workers again.

Such a job waits for a message that will not come: its event was lost, or its message was deleted or has expired. The command
queues it anew, and an event is made of that, as of a new job. So a message goes the usual way to the queue of the job's alias.
Where the job has a message all the same, whichever comes second is done.
"""

import time
from typing import Annotated, Any

import typer

from llm_gateway.tables import JOBS, JOBS_OPEN


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
    from llm_gateway.jobs.job import timestamp
    from llm_gateway.jobs.table import requeue

    since, count = now - seconds, 0
    change = requeue(now, since)
    pages: Any = dynamodb.get_paginator("scan").paginate(
        TableName=table,
        IndexName=JOBS_OPEN.name,
        FilterExpression="#created < :since",
        ExpressionAttributeNames={"#created": JOBS_OPEN.sort_key},
        ExpressionAttributeValues={":since": {"S": timestamp(since)}},
    )
    for page in pages:
        for item in page["Items"]:
            id = item[JOBS.hash_key]
            try:
                dynamodb.update_item(
                    TableName=table,
                    Key={JOBS.hash_key: id},
                    UpdateExpression=change.expression(),
                    ConditionExpression=" AND ".join(change.conditions),
                    ExpressionAttributeNames=change.names,
                    ExpressionAttributeValues=change.values,
                )
            except dynamodb.exceptions.ConditionalCheckFailedException:
                continue
            count += 1
            typer.echo(id["S"])
    return count
