"""The stages of the pipeline, each in its own file."""
