"""Groth16 provers of others beside ours, on the same circuits and witnesses: python -m bench.peers."""
