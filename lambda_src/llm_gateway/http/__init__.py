"""The HTTP client and its pool of connections, and the reader of Server-Sent Events."""
