"""Whole processes whose jobs call their scheduler: with REST and without, in the node and in workers."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.callers import CALLERS
from tests.cluster.process import Process
from tests.cluster.test_processes import soon
from tests.cluster.test_rogues import Zoo

PLUGIN = ("--plugin", CALLERS)
MAKERS = {"near": "makes_another", "async": "makes_another", "letters": "makes_a_letter", "sync": "makes_a_letter"}
"""What makes another job in each group: on a job loop, in a worker, in a thread, in a thread of a worker."""
BOTH = ["letters written", "made scheduled"]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Zoo]:
    """A service that serves all tests of this file."""
    directory = tmp_path_factory.mktemp("service")
    with Zoo.serve(f"sqlite:///{directory}/jobs.db", directory, *PLUGIN) as serving:
        yield serving


@pytest.mark.parametrize("group", MAKERS)
def test_a_job_makes_another(service: Zoo, tmp_path: Path, group: str) -> None:
    """It runs at once."""
    job = service.add(group, deed=MAKERS[group], path=str(tmp_path / "notes"))
    assert job in finished(service, 2)
    assert BOTH == notes(tmp_path / "notes")


@pytest.mark.parametrize("group", ["near", "async"])
def test_a_job_that_cancels_itself_is_stopped(service: Zoo, tmp_path: Path, group: str) -> None:
    """It would wait for ever."""
    job = service.add(group, deed="cancels_itself", path=str(tmp_path / "notes"))
    service.wait_for("run finished", job=job, outcome="cancelled")
    assert "running\n" == (tmp_path / "notes").read_text()


def test_a_node_without_rest_answers_too(tmp_path: Path) -> None:
    """It has a store, and needs no more."""
    store = f"sqlite:///{tmp_path}/jobs.db"
    with Zoo.serve(store, tmp_path, *PLUGIN) as service:
        jobs = [
            service.add(group, when=soon(3), deed=deed, path=str(tmp_path / group)) for group, deed in MAKERS.items()
        ]
    with Process.node(store, tmp_path, *PLUGIN) as node:
        assert finished(node, 2 * len(MAKERS)) >= set(jobs)
    assert [BOTH] * len(MAKERS) == [notes(tmp_path / group) for group in MAKERS]


def finished(process: Process, number: int) -> set[str]:
    """Wait until so many jobs have succeeded, and return them."""
    return {process.wait_for("run finished", outcome="succeeded")["job"] for _ in range(number)}


def notes(path: Path) -> list[str]:
    """Return what jobs noted, in any order: the one that was made may be first."""
    return sorted(path.read_text().splitlines())
