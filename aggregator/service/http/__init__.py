"""The HTTP edge: openapi.json says which operations there are, the handlers what they do."""
