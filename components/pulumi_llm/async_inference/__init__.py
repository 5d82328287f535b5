"""AsyncInference: works off the jobs that an API takes, and tells of them by events."""

from typing import TYPE_CHECKING

from pulumi_llm.base.lazy_modules import lazy_exports

if TYPE_CHECKING:
    from pulumi_llm.async_inference.args_types import AsyncInferenceArgs
    from pulumi_llm.async_inference.component import AsyncInference
else:
    __getattr__, __dir__ = lazy_exports(__name__, {"AsyncInference": "component", "AsyncInferenceArgs": "args_types"})

__all__ = ["AsyncInference", "AsyncInferenceArgs"]
