"""One node's life: join, claim, run, write down, beat, recover, drain, leave."""

from mainspring.node.host_lock import (
    Presence,
    default_directory,
)
from mainspring.node.node import (
    Node,
    Place,
)

__all__ = ["Node", "Place", "Presence", "default_directory"]
