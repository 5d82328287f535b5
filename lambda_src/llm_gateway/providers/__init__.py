"""The providers of models: each protocol has a folder."""
