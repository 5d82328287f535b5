"""OpenAI's chat completions, as OpenAI, DeepSeek, vLLM and others serve them."""
