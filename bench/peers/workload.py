"""T1 and T4 once more, in turn with peers that do the same work on a database beside ours."""

from collections.abc import Iterator

from bench import t4_lateness
from bench.figures import Figure, Goal
from bench.load import percentile
from bench.peers.peer import PEERS
from bench.stores import Postgres
from bench.t1_burst import TUNED, burst
from bench.t4_lateness import SLOW
from bench.trial import Trial


def _figures() -> Iterator[Figure]:
    yield Figure(
        "peers.ours",
        "burst, Mainspring, one node, tuned; limit: Graphile",
        "jobs/s",
        "peers.graphile",
        Goal("≥", 1.2, "ratio"),
    )
    for peer in PEERS:
        yield Figure(f"peers.{peer.key}", f"burst, {peer.title}; limit: Mainspring", "jobs/s", "peers.ours")
    for percent in ("p50", "p99"):
        yield Figure(f"peers.ours.own.{percent}", f"lateness, Mainspring, 200/s, {percent}", "ms")
        for peer in PEERS:
            title = f"lateness, {peer.title}, 200/s, {percent}; limit: Mainspring"
            yield Figure(f"peers.{peer.key}.{percent}", title, "ms", f"peers.ours.own.{percent}")


FIGURES = tuple(_figures())


def measure(trial: Trial) -> None:
    """Measure ourselves and each peer that is there, in turn; quote those that are not."""
    there = [peer for peer in PEERS if peer.is_there(trial.notes)]
    store = Postgres(trial.url)
    for _ in range(trial.rounds):
        trial.record("peers.ours", burst(store, trial.size.jobs, slots=TUNED).rate)
        for peer in there:
            trial.record(f"peers.{peer.key}", peer.burst(trial.server, trial.size.jobs))
    t4_lateness.stretch(trial, store, {"peers.ours": SLOW})
    for _ in range(trial.rounds):
        for peer in there:
            starts = peer.run(trial.server, round(SLOW * trial.size.lateness), 1 / SLOW).starts
            late = sorted((began - due) * 1000 for due, began in starts)
            trial.record(f"peers.{peer.key}.p50", percentile(late, 50))
            trial.record(f"peers.{peer.key}.p99", percentile(late, 99))
