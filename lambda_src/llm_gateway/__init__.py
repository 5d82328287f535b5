"""The gateway core: one request type, one stream of typed events, one pipeline.

It imports no web framework and no Pulumi, and knows no event of AWS Lambda. Read ``pipeline.py`` first.
"""
