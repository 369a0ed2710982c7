"""One node's life: join, claim, run, write down, beat, recover, drain, leave."""

from mainspring.node.host_lock import (
    HostLock,
    default_directory,
)
from mainspring.node.node import (
    Node,
    Place,
)

__all__ = ["HostLock", "Node", "Place", "default_directory"]
