"""The API format of Anthropic's Messages API, as the SDKs of Anthropic and Claude Code speak it."""
