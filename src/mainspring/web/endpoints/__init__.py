"""The calls, by what they are about: one function from call to response each, and a row for each of them."""

from mainspring.web.endpoints import (
    actions,
    calendars,
    cluster,
    control,
    docs,
    events,
    jobs,
    limits,
    lists,
    ops,
    problems,
    runs,
    webhooks,
)

ROWS = [
    *jobs.ROWS,
    *lists.ROWS,
    *actions.ROWS,
    *events.ROWS,
    *control.ROWS,
    *limits.ROWS,
    *cluster.ROWS,
    *runs.ROWS,
    *calendars.ROWS,
    *problems.ROWS,
    *webhooks.ROWS,
    *ops.ROWS,
    *docs.ROWS,
]
"""Every route that there is."""
