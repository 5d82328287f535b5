"""The providers of models: one folder a protocol."""
