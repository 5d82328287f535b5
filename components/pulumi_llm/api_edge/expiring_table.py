"""A table whose items expire.

They say until when they are valid, and are not used after that. DynamoDB's TTL deletes them later, within a few days.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/TTL.html
"""

import pulumi
from pulumi_aws import dynamodb

from pulumi_llm.base.component import Component


def expiring_table(
    component: Component,
    key: str,
    keys: dict[str, str],
    ttl: str,
    kms_key_arn: pulumi.Input[str] | None,
    *,
    reads: int,
    writes: int,
) -> dynamodb.Table:
    """Make a table. `reads` and `writes`, units a second, are bounds on what it may cost.

    Without a key it is encrypted by the account's own `aws/dynamodb`, whose uses CloudTrail records; DynamoDB asks KMS seldom.
    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/encryption.howitworks.html
    """
    encryption: dynamodb.TableServerSideEncryptionArgsDict = {"enabled": True}
    if kms_key_arn is not None:
        encryption["kms_key_arn"] = kms_key_arn
    hash_key, *sort_key = keys
    return dynamodb.Table(
        component.child_name(key),
        billing_mode="PAY_PER_REQUEST",
        on_demand_throughput={"max_read_request_units": reads, "max_write_request_units": writes},
        hash_key=hash_key,
        range_key=sort_key[0] if sort_key else None,
        attributes=[{"name": name, "type": kind} for name, kind in keys.items()],
        ttl={"attribute_name": ttl, "enabled": True},
        server_side_encryption=encryption,
        tags=component.tags,
        opts=component.child(key),
    )
