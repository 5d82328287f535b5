"""The environment variables that components set and functions read, besides Lambda's own."""

# The port on which the function serves the Web Adapter: its variable, and the port.
PORT = "AWS_LWA_PORT"
DEFAULT_PORT = 8080
# What every request has in the header `INVOKER_HEADER`, where others than the Web Adapter can reach the port, and could make up
# who calls: in a local run. On Lambda nobody else can, and it is not set.
INVOKER = "INVOKER_SECRET"
INVOKER_HEADER = "x-invoker-secret"
# "true": the body of an error shows its cause. For development only; a cause may name internal resources.
DEBUG = "DEBUG"
# The DynamoDB table of API keys, in which the hash of a key is looked up: by the authorizer, and by a function that is called
# at its own URL, where no authorizer stands before it.
KEYS_TABLE = "KEYS_TABLE"
# "true": the authorizer is that of a WebSocket API, to which some keys may not connect.
FOR_WEBSOCKET = "FOR_WEBSOCKET"
# The path that API Gateway has in front of every operation's, such as "/llm"; none by default.
PATH_PREFIX = "PATH_PREFIX"
# How callers are authenticated: "api_key", "jwt", "iam" or "none". Unless it is "none", a request without a caller from API
# Gateway is refused.
AUTHORIZATION = "AUTHORIZATION"
# The origins from which browsers may call, separated by commas, or "*".
CORS_ALLOW_ORIGIN = "CORS_ALLOW_ORIGIN"
# The OpenID Connect issuer whose tokens are accepted, their audiences (separated by commas), and the claims that hold the
# tenant and the allowed aliases (not set: no claim lists these, and all are allowed).
JWT_ISSUER = "JWT_ISSUER"
JWT_AUDIENCES = "JWT_AUDIENCES"
JWT_TENANT_CLAIM = "JWT_TENANT_CLAIM"
JWT_MODELS_CLAIM = "JWT_MODELS_CLAIM"
# The DynamoDB table of the WebSocket API's connections.
CONNECTIONS_TABLE = "CONNECTIONS_TABLE"
# The DynamoDB table of the journal: that of the WebSocket API's generations, or that of the REST API's answers, where they are
# kept for requests that name idempotency keys.
JOURNAL_TABLE = "JOURNAL_TABLE"
# The DynamoDB table in which answers are cached, with the keys of a journal.
CACHE_TABLE = "CACHE_TABLE"
# The DynamoDB table of tickets for WebSockets: the function of the REST API issues them, the WebSocket API's authorizer takes
# them. Without it there are none.
TICKETS_TABLE = "TICKETS_TABLE"
# The DynamoDB table of what callers have used, where they have limits.
LEDGER_TABLE = "LEDGER_TABLE"
# The DynamoDB table of what callers have used on past days, and the callers that may read all of their tenant's: a JSON array.
USAGE_TABLE = "USAGE_TABLE"
USAGE_TENANT_READERS = "USAGE_TENANT_READERS"
# The DynamoDB table of jobs, and the bucket of what they ask and of their results. Without them there are none.
JOBS_TABLE = "JOBS_TABLE"
JOBS_BUCKET = "JOBS_BUCKET"
# How many jobs of a caller may be queued or running, where that is not the default.
JOBS_PER_CALLER = "JOBS_PER_CALLER"
# "true": callers may upload files and create batches of them, which are kept there, too.
BATCHES = "BATCHES"
# How many batches of a caller may be open, how many requests these may have, and how many files it may upload a day, each where
# that is not the default.
BATCHES_PER_CALLER = "BATCHES_PER_CALLER"
BATCH_REQUESTS_PER_CALLER = "BATCH_REQUESTS_PER_CALLER"
FILES_PER_CALLER = "FILES_PER_CALLER"
# The URL of the queue that the worker gets jobs from.
JOBS_QUEUE_URL = "JOBS_QUEUE_URL"
# How often a job is tried that fails, and the URL of the queue of dead letters, to which its message is sent after that.
JOBS_MAX_TRIES = "JOBS_MAX_TRIES"
JOBS_DEAD_LETTERS_URL = "JOBS_DEAD_LETTERS_URL"
# How many lines of a batch's file are answered by one call of the function, and how many seconds an answer may take there.
BATCH_LINES_PER_CALL = "BATCH_LINES_PER_CALL"
BATCH_ANSWER_SECONDS = "BATCH_ANSWER_SECONDS"
# The webhooks that get events of jobs, as JSON: a list of objects with "name", "url", "secret_arn" and "queue_url".
WEBHOOKS = "WEBHOOKS"
# The URL below which the receivers of webhooks are in a local run, each by its name: nothing is sent to their own URLs then.
# Not set on Lambda.
WEBHOOKS_RECEIVER = "WEBHOOKS_RECEIVER"
# The guardrail of Bedrock that conversations are checked by: its ARN and its version.
GUARDRAIL_ARN = "GUARDRAIL_ARN"
GUARDRAIL_VERSION = "GUARDRAIL_VERSION"
# The configuration of AppConfig that holds the feature flags: the ids of the application, the environment and the profile, with
# slashes between them. Without it there are none.
FLAGS_CONFIGURATION = "FLAGS_CONFIGURATION"
# The id of the knowledge base that passages are looked for in.
KNOWLEDGE_BASE_ID = "KNOWLEDGE_BASE_ID"
# The Secrets Manager secret of the receiver of traces, where it needs one.
OTLP_SECRET_ARN = "OTLP_SECRET_ARN"  # noqa: S105  a name
# The URL of the WebSocket API's stage, such as https://ID.execute-api.REGION.amazonaws.com/ws, below which are its connections.
WEBSOCKET_STAGE_URL = "WEBSOCKET_STAGE_URL"
# How many generations may run at once for one connection, and for one API key.
GENERATIONS_PER_CONNECTION = "GENERATIONS_PER_CONNECTION"
GENERATIONS_PER_KEY = "GENERATIONS_PER_KEY"
# How many connections an API key may have open at once, and how many messages may come on a connection in a minute.
CONNECTIONS_PER_KEY = "CONNECTIONS_PER_KEY"
MESSAGES_PER_MINUTE = "MESSAGES_PER_MINUTE"
# The least milliseconds between two messages of a generation over a WebSocket.
MESSAGE_INTERVAL_MS = "MESSAGE_INTERVAL_MS"
