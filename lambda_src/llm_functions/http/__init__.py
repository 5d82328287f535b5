"""The entry point `http`: the operations over HTTP."""
