"""`pulumi-llm jobs redrive`: the jobs of the queue of dead letters are given back to the workers.

SQS moves the messages itself. It is told where to: workers send dead letters themselves, and SQS knows of no queue where such a
message came from. https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_StartMessageMoveTask.html
"""

import time
from typing import Annotated, Any

import typer

# Seconds between two looks at a task that runs.
_LOOK_SECONDS = 1.0


def run(
    queue: Annotated[str, typer.Argument(help="The ARN of the queue of dead letters.", metavar="QUEUE_ARN")],
    rate: Annotated[int | None, typer.Option(help="Give back at most so many a second.", min=1, max=500)] = None,
) -> None:
    """Give the jobs of the queue of dead letters back to the workers, which run them again.

    \f
    The credentials are those of the AWS CLI, and the Region is the queue's. The exit code is 1 after an error of AWS's, 2 if
    the ARN is none of a queue's.
    """
    try:
        import botocore.session
        from botocore.exceptions import BotoCoreError, ClientError
    except ImportError as error:
        typer.echo(f"this command needs more packages ({error.name} is missing): pip install 'pulumi-llm[local]'", err=True)
        raise typer.Exit(1) from None
    parts = queue.split(":")
    if len(parts) != 6 or parts[2] != "sqs":
        typer.echo("error: give the queue by its ARN, such as arn:aws:sqs:us-east-1:123456789012:dead-letters", err=True)
        raise typer.Exit(2)
    try:
        session: Any = botocore.session.Session()
        sqs: Any = session.create_client("sqs", region_name=parts[3])
        options = {**_destination(sqs, parts), **({} if rate is None else {"MaxNumberOfMessagesPerSecond": rate})}
        task = _moved(sqs, queue, options)
    except (BotoCoreError, ClientError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None
    typer.echo(f"{task.get('ApproximateNumberOfMessagesMoved', 0):,} messages were given back")
    if task["Status"] != "COMPLETED":
        typer.echo(f"error: the task is {task['Status']}: {task.get('FailureReason', 'no reason is given')}", err=True)
        raise typer.Exit(1)


def _destination(sqs: Any, parts: list[str]) -> dict[str, str]:
    """Return the queue of jobs, the one queue whose dead letters these are; it has their account and Region."""
    url = sqs.get_queue_url(QueueName=parts[5])["QueueUrl"]
    sources = sqs.list_dead_letter_source_queues(QueueUrl=url)["queueUrls"]
    return {"DestinationArn": ":".join([*parts[:5], sources[0].rpartition("/")[2]])} if len(sources) == 1 else {}


def _moved(sqs: Any, queue: str, options: dict[str, Any]) -> dict[str, Any]:
    """Move the messages, and return the task when it is over."""
    sqs.start_message_move_task(SourceArn=queue, **options)
    while True:
        task: dict[str, Any] = sqs.list_message_move_tasks(SourceArn=queue, MaxResults=1)["Results"][0]
        if task["Status"] not in ("RUNNING", "CANCELLING"):
            return task
        moved, total = (task.get(f"ApproximateNumberOfMessages{what}", 0) for what in ("Moved", "ToMove"))
        typer.echo(f"{moved:,} of {total:,}", err=True)
        time.sleep(_LOOK_SECONDS)
