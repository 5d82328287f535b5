"""How answers use a knowledge base, as the routes document has it. `llm_gateway.retrieving_router` does it."""

import msgspec

# The key of a document's metadata that names its tenant, and the value that stands for every caller.
TENANT_KEY = "tenant"
EVERYONE = "*"


class Retrieval(msgspec.Struct, frozen=True, omit_defaults=True):
    """How a knowledge base of Bedrock's is used. The environment says which one it is.

    `aliases` are those that answer with passages. `results` is the most passages of an answer, and `min_score` the least score
    of one. A passage has at most `passage_bytes` in the prompt, and `excerpt_characters` in a citation. `tenant_key` is
    the key of the documents' metadata that names their tenant. `answer_without`: where the knowledge base cannot be asked, the
    model answers without it.
    """

    aliases: tuple[str, ...]
    results: int = 5
    min_score: float = 0.0
    passage_bytes: int = 2_000
    excerpt_characters: int = 200
    tenant_key: str = TENANT_KEY
    answer_without: bool = False
