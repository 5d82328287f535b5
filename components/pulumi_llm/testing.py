"""For the unit tests of programs that use the components: see docs/testing.md."""

from pulumi_llm_local.program.mocks import AwsMocks

__all__ = ["AwsMocks"]
