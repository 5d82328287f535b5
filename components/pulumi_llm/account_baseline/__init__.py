"""AccountBaseline: what an account or a Region has only once."""

from pulumi_llm.account_baseline.args_types import AccountBaselineArgs
from pulumi_llm.account_baseline.component import AccountBaseline

__all__ = ["AccountBaseline", "AccountBaselineArgs"]
