"""One module an entry point: translate the transport into a request, call the pipeline, render its events."""
