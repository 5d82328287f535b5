"""EventBridge Pipes."""

from collections.abc import Mapping
from typing import Final

from pulumi_llm_local.aws_types.aws_type import AwsType

TYPES: Final[Mapping[str, AwsType]] = {
    "aws:pipes/pipe:Pipe": AwsType(
        outputs={
            "id": "{name}",
            "arn": "arn:{partition}:pipes:{region}:{account}:pipe/{name}",
            "desiredState": "RUNNING",
        },
        # The source of provider 5: a pipe stays with its source, and with where it began in it.
        replaced_by=(
            "name namePrefix source sourceParameters.activemqBrokerParameters.queueName "
            "sourceParameters.dynamodbStreamParameters.startingPosition "
            "sourceParameters.kinesisStreamParameters.startingPosition "
            "sourceParameters.kinesisStreamParameters.startingPositionTimestamp "
            "sourceParameters.managedStreamingKafkaParameters.startingPosition "
            "sourceParameters.managedStreamingKafkaParameters.topicName "
            "sourceParameters.rabbitmqBrokerParameters.queueName sourceParameters.rabbitmqBrokerParameters.virtualHost "
            "sourceParameters.selfManagedKafkaParameters.additionalBootstrapServers "
            "sourceParameters.selfManagedKafkaParameters.consumerGroupId "
            "sourceParameters.selfManagedKafkaParameters.startingPosition "
            "sourceParameters.selfManagedKafkaParameters.topicName"
        ),
        api="pipes CreatePipe",
    ),
}
