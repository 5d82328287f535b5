"""The function behind the route of one's own."""

import json
from typing import Any


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    caller = event["requestContext"]["authorizer"]
    return {"statusCode": 200, "body": json.dumps({"order": event["pathParameters"]["id"], "tenant": caller["tenant"]})}
