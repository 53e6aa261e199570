"""The dashboard: static pages over the service's interface."""
