"""One file a provider, one shape: `pipeline.Provider`."""
