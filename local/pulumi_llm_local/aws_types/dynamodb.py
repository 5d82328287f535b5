"""DynamoDB."""

from collections.abc import Mapping
from typing import Final

from pulumi_llm_local.aws_types.aws_type import AWS_DOCS, AwsType, Outputs, Relation, ValueRule
from pulumi_llm_local.aws_types.draft import Draft

_ITEM: Final = "aws:dynamodb/tableItem:TableItem"
_API: Final = AWS_DOCS + "amazondynamodb/latest/APIReference/API_"


def _dynamodb_table(draft: Draft) -> Outputs:
    """A table has a stream only where one is asked for."""
    streaming = draft.inputs.get("streamEnabled") is True
    label = "2026-01-01T00:00:00.000"
    return {
        "id": "{name}",
        "arn": "arn:{partition}:dynamodb:{region}:{account}:table/{name}",
        "billingMode": "PROVISIONED",
        "streamArn": f"{{arn}}/stream/{label}" if streaming else "",
        "streamLabel": label if streaming else "",
    }


TYPES: Final[Mapping[str, AwsType]] = {
    "aws:dynamodb/table:Table": AwsType(
        outputs=_dynamodb_table,
        # restoreBackupArn is newer than 5.100: listed as its siblings are.
        replaced_by=(
            "hashKey importTable localSecondaryIndexes name rangeKey restoreBackupArn restoreDateTime "
            "restoreSourceName restoreSourceTableArn restoreToLatestTime"
        ),
        stateful="its items are lost with it",
        api="dynamodb CreateTable UpdateTimeToLive UpdateContinuousBackups",
        # A table's schema and capacities stand flat in the SDK
        rules={
            "name": ValueRule(_API + "CreateTable.html", low=3, high=255, pattern="[a-zA-Z0-9_.-]+"),
            "attributes": ValueRule(_API + "CreateTable.html", member="AttributeDefinitions"),
            "hashKey": ValueRule(_API + "KeySchemaElement.html", low=1, high=255),
            "rangeKey": ValueRule(_API + "KeySchemaElement.html", low=1, high=255),
            "streamViewType": ValueRule(_API + "StreamSpecification.html", member="StreamSpecification.StreamViewType"),
            "ttl": ValueRule(_API + "UpdateTimeToLive.html", member="TimeToLiveSpecification"),
            "pointInTimeRecovery": ValueRule(_API + "UpdateContinuousBackups.html", member="PointInTimeRecoverySpecification"),
            "globalSecondaryIndexes.projectionType": ValueRule(_API + "Projection.html", member="Projection.ProjectionType"),
            "globalSecondaryIndexes.nonKeyAttributes": ValueRule(
                _API + "Projection.html", member="Projection.NonKeyAttributes"
            ),
            "localSecondaryIndexes.projectionType": ValueRule(_API + "Projection.html", member="Projection.ProjectionType"),
            "localSecondaryIndexes.nonKeyAttributes": ValueRule(_API + "Projection.html", member="Projection.NonKeyAttributes"),
        },
        deletion_protection=("deletionProtectionEnabled", True),
        contains=(Relation(_ITEM, {"tableName": "name"}),),
    ),
    _ITEM: AwsType(
        outputs={"id": "{tableName}|{hashKey}||{hex16}"}, replaced_by="hashKey rangeKey tableName", api="dynamodb PutItem"
    ),
}
