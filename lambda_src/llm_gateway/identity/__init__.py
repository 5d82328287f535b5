"""Who calls: API keys, tokens, signatures."""
