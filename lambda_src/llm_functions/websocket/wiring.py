"""Builds what the functions of the WebSocket API share, from their environment."""

import os
import time

from llm_functions.websocket.chats import Chats
from llm_gateway import environment
from llm_gateway.aws.client import Aws
from llm_gateway.aws.connections import Connections
from llm_gateway.aws.dynamodb import DynamoDB
from llm_gateway.http.client import HttpClient
from llm_gateway.identity.connections import ConnectionTable
from llm_gateway.identity.keys import KeyStore
from llm_gateway.stages.journal import Journal


def chats(client: HttpClient) -> Chats:
    aws = Aws(client)
    dynamodb = DynamoDB(aws)
    keys = os.environ.get(environment.KEYS_TABLE)
    return Chats(
        Journal(dynamodb, os.environ[environment.JOURNAL_TABLE]),
        connection_table(client),
        Connections(aws, os.environ[environment.WEBSOCKET_STAGE_URL]),
        keys=KeyStore(dynamodb, keys, time.monotonic, websocket=True) if keys else None,
        messages_per_minute=int(os.environ[environment.MESSAGES_PER_MINUTE]),
        interval=int(os.environ.get(environment.MESSAGE_INTERVAL_MS, "50")) / 1000,  # only a function that generates has it
        debug=os.environ.get(environment.DEBUG) == "true",
    )


def connection_table(client: HttpClient) -> ConnectionTable:
    return ConnectionTable(DynamoDB(Aws(client)), os.environ[environment.CONNECTIONS_TABLE])
