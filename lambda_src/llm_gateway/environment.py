"""The environment variables that a component sets and a function reads, besides Lambda's own."""

# "true": error bodies tell their cause. For development; a cause may name internal resources.
DEBUG = "DEBUG"
# DynamoDB table of API keys: what the authorizer looks a key's hash up in.
KEYS_TABLE = "KEYS_TABLE"
# How callers are known: "api_key", "jwt", "iam" or "none". Where it is not "none", a request that API Gateway says nothing of
# is refused.
AUTHORIZATION = "AUTHORIZATION"
# The origin that browsers may call from, or "*".
CORS_ALLOW_ORIGIN = "CORS_ALLOW_ORIGIN"
# The OpenID Connect issuer whose tokens are accepted, the audiences that they must be for (with commas between), and the
# claims that tell the tenant and the aliases allowed (empty: none does, all are).
JWT_ISSUER = "JWT_ISSUER"
JWT_AUDIENCES = "JWT_AUDIENCES"
JWT_TENANT_CLAIM = "JWT_TENANT_CLAIM"
JWT_MODELS_CLAIM = "JWT_MODELS_CLAIM"
