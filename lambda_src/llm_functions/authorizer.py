"""The entry point `authorizer`: API Gateway's REQUEST authorizer, on every transport.

https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-use-lambda-authorizer.html
"""

import asyncio
import os
import time
from typing import Any

from llm_gateway import environment
from llm_gateway.auth import Caller, caller_context, key_hash, presented_key
from llm_gateway.aws import Aws
from llm_gateway.dynamodb import DynamoDB
from llm_gateway.http_client import HttpClient
from llm_gateway.keys import KeyStore

_loop = asyncio.new_event_loop()
_keys = KeyStore(DynamoDB(Aws(HttpClient())), os.environ[environment.KEYS_TABLE], clock=time.monotonic)


def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """The policy and context of a known key.

    Raises the one exception text that API Gateway answers 401 for, where there is no key or an unknown one; anything else
    that goes wrong (the table cannot be read) is a 500 there, never a yes.
    """
    key = presented_key(event.get("headers") or {})
    caller = _loop.run_until_complete(_keys.find(key_hash(key))) if key else None
    if key is None or caller is None:
        raise Exception("Unauthorized")
    return _allow(key, caller, event["methodArn"])


def _allow(key: str, caller: Caller, method_arn: str) -> dict[str, Any]:
    # arn:aws:execute-api:region:account:api/stage/METHOD/path: the policy covers the stage, for a cached answer serves
    # every route of it.
    stage = "/".join(method_arn.split("/")[:2])
    return {
        "principalId": caller.key,
        "policyDocument": {
            "Version": "2012-10-17",
            "Statement": [{"Action": "execute-api:Invoke", "Effect": "Allow", "Resource": f"{stage}/*"}],
        },
        "context": caller_context(caller),
        "usageIdentifierKey": key,
    }
