"""Anthropic's stand-in."""
