"""The SQL of both dialects says the same."""

import re
from pathlib import Path

import pytest

from mainspring import store
from mainspring.store.postgres.connections import TEXT
from mainspring.store.sqlite.dialect import SQL

FOLDER = Path(store.__file__).parent
OF_SQLITE_ONLY = {
    "due": "claim is several statements there: nobody comes in between",
    "draw": "there are no sequences: the last run number is a row",
    "due_next": "the clock is the process's, which subtracts it itself",
    "run_of": "a refused change is looked at in the same transaction, one by one",
    "count": "claims and ends of runs are counted by the process; there it is a part of the statement",
    "tell_parents": "a change is several statements, which costs no round trips",
    "claimed": "an update that returns rows gives other threads a turn for each, which costs more than the rows",
    "end_jobs": "a change is several statements, which costs no round trips",
    "forget_jobs": "the same: that jobs go is a statement of its own",
    "end_run": "the same for a job that goes on",
    "go_on": "the same",
    "claimed_rows": "claims come as JSON there, which one row that is none would spoil",
    **dict.fromkeys(
        ("some_of", "put_aside", "accept", "accepted", "take_slice", "moved", "forget_batches"),
        "there is one connection, which a large batch must not hold; there a batch is one transaction",
    ),
    "end_children": "a deletion is several statements there",
    "stop_children": "the same",
    "due_others": "claim is several statements there",
    "due_of_priority": "the same",
    "paused_at": "the same",
    "next_key": "a claim by limits is several statements there: keys are gone through by the process",
    "due_of_key": "the same",
    "put_rate": "rates are written one by one there",
    "note_now": "a note is swapped in two statements there: nobody comes in between",
    "forget_job": "that a job ends unrun is two statements there",
    **dict.fromkeys(("take_keys", "give_keys_back", "forget_keys"), "a large batch is written bit by bit there"),
    "forget_pressure": "there one statement writes and deletes",
    **dict.fromkeys(("label", "label_done", "index_labels"), "an edit of a job is several statements there"),
    **dict.fromkeys(
        ("tell_begun", "tell_ended", "tell_edited", "tell_give_up"),
        "there a part of the statement, or of a trigger, tells",
    ),
    "head": "there it is told as events are numbered",
    "forgotten": "there it is a part of the statement",
    "resumes": "a beat is several statements there: nobody comes in between",
    "stops": "a beat is several statements there: nobody comes in between",
}
OF_POSTGRES_ONLY = {
    "time": "the clock is the database's, so it has to be asked",
    "next_due": "the same: it tells its own clock",
    "runs_of": "the refused changes of a batch are looked at together",
    "finish": "changes are written together",
    "add_unrun": "rows of history are numbered as they are written; there they are numbered before",
    "follow": "many are written together; there each is added by itself",
    "add_with_receipts": "calls that share a commit are one statement there",
    "which": "an answer can be lost on the way from another process only",
    **dict.fromkeys(
        ("candidates", "candidates_of_keys", "claim_these", "put_rates", "take_turn"),
        "a claim by limits is a transaction of its own statements, in a turn that others wait for",
    ),
    "number_events": "there is one connection: events are numbered as they are written",
    "swap_note": "there it is two statements",
    "show_session": "there are no sessions to be seen",
    "hint": "there is nobody else to tell",
    "ids_of_page": "made of another statement; there as it is needed",
    "ids_of_page_of_outcomes": "the same",
    "ids_of_page_created": "the same",
}


def test_dialects_have_the_same_statements() -> None:
    """A statement is named alike in both, but for the few that one of them has a reason to need."""
    sqlite, postgres = SQL.keys(), TEXT.keys()

    assert (set(OF_SQLITE_ONLY), set(OF_POSTGRES_ONLY)) == (sqlite - postgres, postgres - sqlite)


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*/*.sql")), ids=lambda path: f"{path.parent.name}/{path.name}")
def test_every_statement_says_what_it_does(path: Path) -> None:
    """A sentence stands above each statement."""
    _, *blocks = re.split(r"^-- name: ", path.read_text("utf-8"), flags=re.MULTILINE)

    assert blocks
    assert [] == [block.split()[0] for block in blocks if not re.match(r"\w+!?\n-- [A-Z].*\.\n\w", block)]


def test_dialects_spread_statements_over_the_same_files() -> None:
    """Whoever has read one dialect finds their way in the other."""
    sqlite, postgres = ({path.name for path in (FOLDER / dialect).glob("*.sql")} for dialect in ("sqlite", "postgres"))

    assert sqlite == postgres
