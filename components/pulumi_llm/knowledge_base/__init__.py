"""KnowledgeBase: documents of a bucket, which answers are given passages of."""

from typing import TYPE_CHECKING

from pulumi_llm.base.lazy_modules import lazy_exports

if TYPE_CHECKING:
    from pulumi_llm.knowledge_base.args_types import KnowledgeBaseArgs
    from pulumi_llm.knowledge_base.component import KnowledgeBase
else:
    __getattr__, __dir__ = lazy_exports(__name__, {"KnowledgeBase": "component", "KnowledgeBaseArgs": "args_types"})

__all__ = ["KnowledgeBase", "KnowledgeBaseArgs"]
