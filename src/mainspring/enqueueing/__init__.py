"""Jobs that are created in the transaction of another program, on the PostgreSQL that the nodes use.

What is written is decided here, purely; the drivers only execute it.
"""

from mainspring.enqueueing.call import enqueue, enqueue_many

__all__ = ["enqueue", "enqueue_many"]
