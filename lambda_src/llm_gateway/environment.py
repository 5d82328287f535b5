"""The environment variables that a component sets and a function reads, besides Lambda's own."""

# "true": error bodies tell their cause. For development; a cause may name internal resources.
DEBUG = "DEBUG"
# DynamoDB table of API keys: what the authorizer looks a key's hash up in.
KEYS_TABLE = "KEYS_TABLE"
# How callers are known: "api_key" or "none". Where it is not "none", a request without an authorizer's word is refused.
AUTHORIZATION = "AUTHORIZATION"
# The origin that browsers may call from, or "*".
CORS_ALLOW_ORIGIN = "CORS_ALLOW_ORIGIN"
