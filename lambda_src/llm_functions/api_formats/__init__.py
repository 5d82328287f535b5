"""The API formats. Each parses requests and renders answers."""
