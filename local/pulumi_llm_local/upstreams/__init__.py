"""Stand-ins for the providers of models."""
