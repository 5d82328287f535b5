"""The AWS services that the local run plays, one module each."""
