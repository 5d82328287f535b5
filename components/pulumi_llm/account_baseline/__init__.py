"""AccountBaseline: what an account or a Region has only once."""

from pulumi_llm.account_baseline.component import AccountBaseline, AccountBaselineArgs

__all__ = ["AccountBaseline", "AccountBaselineArgs"]
