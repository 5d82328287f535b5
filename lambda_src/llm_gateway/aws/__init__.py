"""Calls of AWS's APIs, signed and sent by the gateway's own HTTP client."""
