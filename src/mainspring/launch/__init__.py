"""The composition root: makes a service or a node out of settings and runs it."""
