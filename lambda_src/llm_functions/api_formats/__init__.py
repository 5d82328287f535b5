"""The API formats: each parses a request and renders an answer, nothing else."""
