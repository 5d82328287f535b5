"""UsageAnalytics: counts what callers use, from the logs."""

from typing import TYPE_CHECKING

from pulumi_llm.base.lazy_modules import lazy_exports

if TYPE_CHECKING:
    from pulumi_llm.usage_analytics.args_types import UsageAnalyticsArgs
    from pulumi_llm.usage_analytics.component import UsageAnalytics
else:
    __getattr__, __dir__ = lazy_exports(__name__, {"UsageAnalytics": "component", "UsageAnalyticsArgs": "args_types"})

__all__ = ["UsageAnalytics", "UsageAnalyticsArgs"]
