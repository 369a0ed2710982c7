from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from bench import cpu
from bench.__main__ import FIGURES
from bench.due import TRIES, TooLateError, in_time
from bench.figures import Figure, Goal, lines, table
from bench.limits import sqlite_lateness
from bench.load import Order, gets, percentile
from bench.peers.peer import Peer


@pytest.mark.parametrize(
    ("goal", "reached"),
    [
        (Goal("≥", 20), True),
        (Goal("≤", 19), False),
        (Goal("≤", 20), True),
        (Goal("≥", 0.5, "ratio"), True),
        (Goal("≥", 0.6, "ratio"), False),
        (Goal("≤", 0.5, "ratio"), True),
        (Goal("≤", 0.4, "ratio"), False),
    ],
)
def test_a_goal_is_judged_by_what_it_speaks_of(goal: Goal, *, reached: bool) -> None:
    """Median or ratio to the limit: each goal looks at its own, bounds included."""
    assert reached == goal.reached([10, 30, 20], limit=40)


def test_a_goal_without_its_limit_is_not_judged() -> None:
    """A limit that was not measured leaves a relative goal open, not missed."""
    assert Goal("≥", 0.5, "ratio").reached([1, 2, 3], limit=None) is None


def test_the_table_has_what_was_measured() -> None:
    """A figure without values has no line; one with values stands beside the median of its limit."""
    figures = [Figure("t1.limit", "loop", "1/s"), Figure("t1.one", "burst", "1/s", "t1.limit"), Figure("t2", "", "")]
    rows = list(lines(figures, {"t1.limit": [100, 300, 200], "t1.one": [50, 150, 100]}))
    assert [("T1  loop", None, None), ("T1  burst", 200, 0.5)] == [(row.figure, row.limit, row.ratio) for row in rows]
    assert "T1  burst  1/s   50.0     100  150    200   0.50" == table(rows).splitlines()[2]


def test_percentiles_are_values_that_were_measured() -> None:
    """The least value that so many do not exceed: no value in between is made up."""
    values = [float(value) for value in range(1, 201)]
    assert (1.0, 100.0, 198.0, 200.0) == tuple(percentile(values, percent) for percent in (0, 50, 99, 100))


def test_a_figure_stands_beside_each_of_its_limits() -> None:
    """Default settings count against tuned ones and against a bare loop: two lines, two ratios, two verdicts."""
    figures = [
        Figure("t9.burst", "burst", "jobs/s", "t9.loop", Goal("≥", 0.4, "ratio")),
        Figure("t9.burst", "burst; limit: tuned", "jobs/s", "t9.tuned", Goal("≥", 0.9, "ratio")),
    ]
    rows = lines(figures, {"t9.burst": [80], "t9.loop": [160], "t9.tuned": [100]})
    assert [(0.5, True), (0.8, False)] == [(row.ratio, row.reached) for row in rows]


def test_every_limit_is_a_figure_of_its_own() -> None:
    """A limit that nobody records would leave its goals open for ever, and a ratio needs something to divide by."""
    assert set() == {figure.limit for figure in FIGURES if figure.limit} - {figure.key for figure in FIGURES}
    assert [] == [figure.key for figure in FIGURES if figure.goal and figure.goal.of == "ratio" and not figure.limit]


@pytest.mark.parametrize("name", ["limit.db", None])
def test_the_bare_loop_claims_each_row_once_and_none_early(tmp_path: Path, name: str | None) -> None:
    """On a file and in memory: as many values as rows, all of them late rather than early, in order."""
    late = sqlite_lateness(tmp_path / name if name else None, rate=1000, seconds=0.02)
    assert 20 == len(late)
    assert sorted(late) == late
    assert late[0] >= 0


def test_a_load_sends_what_its_method_needs() -> None:
    """A GET has no body and no length; a POST has both."""
    (get,) = gets(80, "/list").requests()
    (post,) = Order(80, "/jobs", ["{}"], connections=1).requests()
    assert b"GET /list HTTP/1.1\r\nHost: 127.0.0.1:80\r\n\r\n" == get
    assert post.startswith(b"POST /jobs HTTP/1.1\r\n")
    assert post.endswith(b"Content-Length: 2\r\n\r\n{}")


def test_what_was_too_late_begins_earlier_the_next_time() -> None:
    """A busy machine gets more time with each try, and what it returns at last is what counts."""
    tried = []

    def attempt(patience: int) -> str:
        tried.append(patience)
        if patience < TRIES:
            raise TooLateError
        return "done"

    assert "done" == in_time(attempt, "a test")
    assert [1, 2, 3] == tried


def test_what_is_always_too_late_is_an_error_that_says_whose() -> None:
    """The number of tries is bounded, and so is the time that a measurement takes."""

    def attempt(patience: int) -> str:
        raise TooLateError(patience)

    with pytest.raises(RuntimeError, match="the jobs of a burst were due before all was in place"):
        in_time(attempt, "a burst")


@pytest.mark.parametrize(
    ("command", "reason"),
    [("no-such-program", "there is no no-such-program"), ("sh", "it is not installed (make bench-peers does that)")],
)
def test_a_peer_that_cannot_run_is_a_note(tmp_path: Path, command: str, reason: str) -> None:
    """Below the table stands in a sentence why it was not measured, and what it reached elsewhere."""
    peer = Peer("other", "Other", (command,), tmp_path / "missing", "jobs", 1, 1, "5 jobs/s")
    notes: dict[str, str] = {}
    assert not peer.is_there(notes)
    assert {"Other": f"not measured, {reason}; on the reference machine it reached 5 jobs/s"} == notes


def test_a_peer_that_can_run_is_no_note(tmp_path: Path) -> None:
    """Where program and package are there, the table speaks for itself."""
    peer = Peer("other", "Other", ("sh",), tmp_path, "jobs", 1, 1, "5 jobs/s")
    notes: dict[str, str] = {}
    assert peer.is_there(notes)
    assert {} == notes


def test_the_time_of_postgresql_is_read_while_its_backend_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server is found by the backend of a connection, which is gone when that is closed: then it would count 0."""
    living = set()
    server, backend = 2**30, 2**30 + 1  # no process has such a number

    @contextmanager
    def observe(_url: str) -> Iterator[SimpleNamespace]:
        living.add(backend)
        yield SimpleNamespace(execute=lambda _sql: SimpleNamespace(fetchall=lambda: [(backend,)]))
        living.clear()

    def fields(pid: int) -> list[str]:
        if pid == backend and not living:
            return []
        parent = {backend: server}.get(pid, 0)
        return ["S", str(parent), *("0" * 9), *(["100"] * 4 if pid == server else "0000")]

    monkeypatch.setattr(cpu, "observe", observe)
    monkeypatch.setattr(cpu, "_fields", fields)
    assert 400 / cpu._TICKS == cpu.postgres_seconds("postgresql:")  # noqa: SLF001 - how the system counts
