"""AccountBaseline: what an account or a Region has only once."""

from typing import TYPE_CHECKING

from pulumi_llm.base.lazy_modules import lazy_exports

if TYPE_CHECKING:
    from pulumi_llm.account_baseline.args_types import AccountBaselineArgs
    from pulumi_llm.account_baseline.component import AccountBaseline
else:
    __getattr__, __dir__ = lazy_exports(__name__, {"AccountBaseline": "component", "AccountBaselineArgs": "args_types"})

__all__ = ["AccountBaseline", "AccountBaselineArgs"]
