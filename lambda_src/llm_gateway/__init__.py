"""The gateway core: one request type, one stream of typed events, one pipeline.

It knows no web framework, no AWS event shape and no Pulumi. ``pipeline.py`` is the page to read first.
"""
