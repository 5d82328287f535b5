"""OpenAI's, DeepSeek's and vLLM's stand-in."""
