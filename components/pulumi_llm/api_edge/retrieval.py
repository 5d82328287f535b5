"""Which answers are given with passages of a knowledge base: as settings, and as the functions read them."""

from collections.abc import Iterator
from typing import Annotated, Any, Literal

import msgspec
import pulumi
from pydantic import Field

from llm_gateway import environment as variables
from llm_gateway import retrieval as document
from pulumi_llm.base.iam import allow
from pulumi_llm.base.settings import Between, Count, Input, Name, Number, Problem, Settings, form, valid_items
from pulumi_llm.routing import Routing

_Arn = Annotated[
    str,
    form(
        r"arn:aws[a-z-]*:bedrock:[a-z0-9-]+:\d{12}:knowledge-base/[0-9a-zA-Z]{10}",
        "a knowledge base's ARN, such as arn:aws:bedrock:us-east-1:ACCOUNT:knowledge-base/ID",
    ),
]


class RetrievalSettings(Settings):
    """How answers use a knowledge base. Each question to one waits for it before the model is asked, some 0.3 to 1 s."""

    regional = ("knowledge_base_arn",)

    knowledge_base_arn: Input[_Arn] | None = None
    """The knowledge base, in the component's Region: the output `knowledge_base_arn` of a KnowledgeBase, or one of your own."""
    aliases: Annotated[tuple[Name, ...], Field(min_length=1)] | None = None
    """The aliases that answer with passages. Default: all that chat."""
    results: Annotated[Count, Between(1, 20)] = 5
    """The most passages of an answer."""
    min_score: Annotated[Number, Between(0, 1)] = 0.0
    """The least score of a passage, from 0 to 1. What a score means depends on the model that makes the vectors."""
    passage_bytes: Annotated[Count, Between(100, 20_000)] = 2_000
    """The most bytes (UTF-8) of a passage in the prompt, where its tokens cost as any others; a longer one is cut."""
    excerpt_characters: Annotated[Count, Between(20, 500)] = 200
    """The most characters of a passage in a citation."""
    tenant_key: Annotated[str, form(r"[A-Za-z0-9_-]{1,63}", "a key of metadata: letters, digits, '_' and '-'")] = "tenant"
    """The key of the documents' metadata that names their tenant; "*" stands for everyone. What has none is never found."""
    when_unavailable: Literal["fail", "answer"] = "fail"
    """What happens where the knowledge base cannot be asked: the call fails with 503, or the model answers without passages,
    and the answer says so."""

    def document(self, chats: tuple[str, ...]) -> document.Retrieval:
        """How it is used, as the functions read it. `chats` are the aliases that chat."""
        given = {name: getattr(self, name) for name in _USES if self.given(name) and self.valid(name)}
        aliases = self.aliases if self.aliases is not None and self.valid("aliases") else chats
        return document.Retrieval(tuple(aliases), answer_without=self.when_unavailable == "answer", **given)


_USES = ("results", "min_score", "passage_bytes", "excerpt_characters", "tenant_key")


class RetrievingSettings(Settings):
    """What a component says of retrieval."""

    retrieval: RetrievalSettings | None = None
    """A knowledge base, whose passages stand in the prompts and are cited in the answers. Default: none."""

    def retrieving(self, routing: Routing) -> Routing:
        """The routing, with how answers use the knowledge base."""
        if self.retrieval is None:
            return routing
        used = self.retrieval.document(tuple(routing.routes.names("chat")))
        return routing._replace(routes=msgspec.structs.replace(routing.routes, retrieval=used))

    def retrieval_problems(self, routing: Routing, *, arn_required: bool = True) -> Iterator[Problem]:
        """Yield what is wrong between retrieval and the aliases that there are."""
        retrieval = self.retrieval
        if retrieval is None:
            return
        if arn_required and not retrieval.given("knowledge_base_arn"):
            yield Problem(
                "retrieval.knowledge_base_arn", "is required: the output knowledge_base_arn of a KnowledgeBase, or another"
            )
        kinds = {alias.name: alias.kind for alias in routing.routes.aliases}
        for index, name in valid_items(retrieval.aliases):
            if kinds.get(name) == "embedding":
                yield Problem(f"retrieval.aliases[{index}]", f"{name!r} makes embeddings; only answers have passages")
            elif kinds and name not in kinds:
                yield Problem(
                    f"retrieval.aliases[{index}]", f"there is no alias {name!r}; there are {', '.join(sorted(kinds))}"
                )

    def retrieval_beside(self, arn: Any) -> dict[str, Any]:
        """The same for another component, which asks the same knowledge base."""
        given = {} if self.retrieval is None else self.retrieval.model_dump(exclude_unset=True)
        return {**given, "knowledge_base_arn": arn}


def retrieval_variables(settings: RetrievalSettings | None) -> dict[str, pulumi.Output[str]]:
    """The environment of a function that asks a knowledge base."""
    if settings is None:
        return {}
    arn = pulumi.Output.from_input(settings.knowledge_base_arn)
    return {variables.KNOWLEDGE_BASE_ID: arn.apply(lambda value: str(value).rpartition("/")[2])}


def retrieve_passages(settings: RetrievalSettings) -> list[dict[str, Any]]:
    """Statements that allow to ask this knowledge base alone, and nothing of it but passages."""
    return [allow("RetrievePassages", ["bedrock:Retrieve"], settings.knowledge_base_arn)]
