"""Mutation fuzzing of every parser: `python -m tests.fuzz --seconds 60 [target ..]`; CI runs fixed cases."""
