"""One node's life: join, claim, run, write down, beat, recover, drain, leave."""

from mainspring.node.claimer import Claimer
from mainspring.node.dispatcher import Dispatcher
from mainspring.node.finisher import Finisher
from mainspring.node.host_lock import HostLock, default_directory
from mainspring.node.lease import Lease
from mainspring.node.node import Node, Place
from mainspring.node.releaser import Releaser
from mainspring.node.yielding import Yielding

__all__ = [
    "Claimer",
    "Dispatcher",
    "Finisher",
    "HostLock",
    "Lease",
    "Node",
    "Place",
    "Releaser",
    "Yielding",
    "default_directory",
]
