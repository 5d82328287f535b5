"""Jobs: requests that are answered later, by a worker. `table` holds the rules of their states."""
