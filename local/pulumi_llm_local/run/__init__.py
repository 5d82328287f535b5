"""The local run: the supervisor, and the page that shows what runs."""
