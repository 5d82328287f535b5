"""The pack, as the engine starts it. What it holds: docs/policies.md."""

from llm_policies.pack import serve

serve()
