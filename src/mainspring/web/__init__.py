"""The REST interface: HTTP in, the use cases of the service, JSON out."""

from mainspring.web.app import (
    create_app,
)
from mainspring.web.calls import (
    StoreCalls,
)
from mainspring.web.connection import (
    Connection,
    Connections,
)
from mainspring.web.hosts import (
    Hosts,
)
from mainspring.web.problem import (
    HttpError,
)

__all__ = ["Connection", "Connections", "Hosts", "HttpError", "StoreCalls", "create_app"]
