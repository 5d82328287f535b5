"""Reads a Pulumi program: its resource graph, and what is wrong with its arguments."""
