"""The versions of the journal."""
