"""Every number the README claims, as a command: python -m bench.<name>. Results are committed under bench/results."""
