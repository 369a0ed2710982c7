"""The page `docs/proof.md`: one table for each promise, from the last results of the scenarios."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from prove.figures import bound
from prove.result import Finding, Result

PROMISES = {
    "P1": "A 201 is durable",
    "P3": "An attempt starts at most once, in the whole cluster",
    "P4": "Attempts of one occurrence do not overlap; what may run at most once is never run again",
    "P5": "A zombie's result is refused",
    "P6": "Recovery from a crash is bounded",
    "P7": "History is append-only and has one final record for each occurrence",
    "P8": "Every occurrence is accounted for",
    "P9": "Never early, whatever the nodes' clocks say",
    "P10": "On time, whatever others do",
    "P12": "A database outage costs time, not jobs",
    "P14": "A rolling restart is invisible",
    "P16": "A rogue in a plugin hurts nobody but itself",
    "P17": "Poison jobs end",
    "P18": "A crowd that is due at once is a queue, not an outage",
    "P19": "No caller stops the others",
    "P24": "Limits and rates hold in the whole cluster, whoever dies",
    "P25": "Where slots are scarce, each has its share",
    "P26": "Of the jobs that are not done, one has a key, and whoever is refused is told which",
    "P27": "What is paused begins nothing, and loses nothing",
    "P28": "What a busy service bears is found out, and used, and no attempt is",
    "P29": "Jobs that follow a run are there once, if and only if it succeeded",
    "P30": "Whoever follows events gets each of them once, in order",
    "P31": "Whoever races for a job, it is as if they had come one after the other",
    "P32": "A call that is sent again by its key is done once, and answered the same",
    "P33": "A call by HTTP ends for the right reason, and reaches nothing that is forbidden, whatever answers",
}
"""The promises, in the order of the page."""
HEAD = """# Proof

What Mainspring promises about jobs, and how often each promise was tested. `make prove` starts whole clusters and
injects faults by a random plan with a fixed seed. Jobs record their runs outside the store. `make prove` compares these
records with the answers that clients got and with history, and then writes this page.
`make prove ARGS="storm --seed 7"` runs one scenario with another seed. The files of a failed trial are kept in
`prove/failures/`. `make test` runs small versions of the same scenarios.

**N** is the number of trials. Where nothing failed, the true rate of failures is below **3/N** with 95 % confidence.
Times are taken from the boot clock of the machine, which does not move when the wall clock is changed.

## Scenarios

| scenario | size | seed | took | violations |
| --- | --- | --- | --- | --- |
"""


def page(results: Sequence[Result]) -> str:
    """Return the page."""
    rows = [
        f"| {result.scenario} | {result.size} | {result.seed} | {result.seconds:.0f} s | {len(result.violations)} |\n"
        for result in results
    ]
    notes = [f"- {result.scenario}: {note}\n" for result in results for note in result.notes if "/" not in note]
    promises = [section for promise in PROMISES for section in _section(promise, results)]
    return HEAD + "".join(rows) + "\n" + "".join(notes) + "".join(promises)


def _section(promise: str, results: Sequence[Result]) -> Iterator[str]:
    found = [(result, finding) for result in results for finding in result.findings if finding.promise == promise]
    if found:
        yield f"\n## {promise}: {PROMISES[promise]}\n\n"
        yield "| scenario | what was tried | N | failed | 3/N | figures |\n| --- | --- | --- | --- | --- | --- |\n"
        yield from (_row(result, finding) for result, finding in found)


def _row(result: Result, finding: Finding) -> str:
    cells = (
        f"{result.scenario}, seed {result.seed}",
        finding.what,
        f"{finding.trials:,}",
        f"{finding.failures:,}",
        bound(finding.trials, finding.failures),
        finding.figures,
    )
    return f"| {' | '.join(cells)} |\n"
