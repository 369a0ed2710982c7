"""The REST interface: HTTP in, the use cases of the service, JSON out."""

from mainspring.web.app import (
    create_app,
)
from mainspring.web.connection import (
    Connection,
)

__all__ = ["Connection", "create_app"]
