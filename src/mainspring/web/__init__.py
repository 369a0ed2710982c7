"""The REST interface: HTTP in, the use cases of the service, JSON out."""

from mainspring.web.app import (
    create_app,
)
from mainspring.web.connection import (
    Connection,
    Connections,
)

__all__ = ["Connection", "Connections", "create_app"]
