"""The REST interface: HTTP in, the service's use cases, JSON out."""
