"""Prints the service's OpenAPI document, from which the client's types are made. Every deployment has its own models, so
their names are left out."""

import json
import sys

from llm_functions.http.openapi import document

described = json.loads(document([], "api_key"))
described["components"]["schemas"]["ChatRequest"]["properties"]["model"].pop("enum")
described["components"]["schemas"]["ChatCompletionRequest"]["properties"]["model"].pop("enum")
json.dump(described, sys.stdout)
