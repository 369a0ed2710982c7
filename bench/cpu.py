"""How much of a core processes took, as Linux counts it: it varies less from run to run than times do."""

import os
from pathlib import Path

from bench.observer import observe

_TICKS = os.sysconf("SC_CLK_TCK")


def process_seconds(pid: int) -> float:
    """Return the CPU seconds of a process and of its children that have ended; 0 where there is no /proc."""
    return sum(_ticks(pid)) / _TICKS


def postgres_seconds(url: str) -> float:
    """Return the CPU seconds of a PostgreSQL server of this machine, all its processes; 0 if it is elsewhere."""
    with observe(url) as db:  # open until all is read: its backend leads to the server
        ((backend,),) = db.execute("select pg_backend_pid()").fetchall()
        if (server := _parent(backend)) is None:
            return 0.0
        there = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]
        children = [pid for pid in there if _parent(pid) == server]
        return sum(sum(_ticks(pid)) for pid in (server, *children)) / _TICKS


def _parent(pid: int) -> int | None:
    fields = _fields(pid)
    return int(fields[1]) if fields else None


def _ticks(pid: int) -> list[int]:
    fields = _fields(pid)
    return [int(ticks) for ticks in fields[11:15]] if fields else []


def _fields(pid: int) -> list[str]:
    """Return what /proc says of a process after its name, from its state on: see proc_pid_stat(5)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return []
