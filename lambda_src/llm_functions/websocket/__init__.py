"""The WebSocket API: its connections, and the generations that outlive them."""
