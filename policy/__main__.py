"""Starts the pack for the engine. docs/policies.md lists its rules."""

from llm_policies.pack import serve

serve()
