"""The steps of the state machine that works a batch off. `llm_functions.batch` is their entry point."""
