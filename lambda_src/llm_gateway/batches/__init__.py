"""Batches: files of requests that are answered within a day, and the files of their answers. `table` holds the rules of their
states."""
