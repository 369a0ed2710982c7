"""The calls, by what they are about: one function from call to response each, and a row for each of them."""

from mainspring.web.endpoints import calendars, control, docs, jobs, ops, runs

ROWS = [*jobs.ROWS, *control.ROWS, *runs.ROWS, *calendars.ROWS, *ops.ROWS, *docs.ROWS]
"""Every route that there is."""
