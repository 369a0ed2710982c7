"""The README as a stranger follows it: started, pasted, saved and run."""

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.process import Process
from tests.docs.demo import Demo
from tests.docs.reading import ROOT, blocks, files
from tests.docs.shell import Shell
from tests.postgres import PostgresServer, temporary_database

TOUR = "Five minutes with it"
CALLS = [
    ["GET 200"],
    ["POST 201"],
    ["GET 200", "PATCH 200", "POST 200", "POST 200", "DELETE 204"],
    ["POST 422"],
    ["POST 200"],
    ["POST 201"],
    ["GET 200"],
    ["DELETE 204"],
]
"""What each block of the tour asks, and what is answered."""
FIRST_MODULE = """
from mainspring import Binder, SchedulerPluginModule
from reports import ReportJob


class First(SchedulerPluginModule):
    def configure(self, binder: Binder) -> None:
        binder.bind_job(ReportJob)
"""


def alike(text: str) -> str:
    """Take from a line what differs each time: ids, times of day and ports."""
    text = re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "<id>", text)
    return re.sub(r"127\.0\.0\.1:\d+", "<address>", re.sub(r"\d\d:\d\d:\d\dZ", "<time>", text))


def shape(value: Any) -> Any:
    """Return which members an answer has, whatever is in them."""
    match value:
        case dict():
            return {name: shape(inner) for name, inner in value.items()}
        case list():
            return [shape(inner) for inner in value]
        case _:
            return None


def pasted(section: str) -> list[str]:
    """Return what a section of the README tells to paste; without a name, what comes before the first section."""
    return [block.text for block in blocks("README.md", "sh") if block.section == section]


def answers() -> Iterator[Any]:
    """Return the answers that the tour shows."""
    return (json.loads(block.text) for block in blocks("README.md", "json") if block.section == TOUR)


def test_the_first_job_is_scheduled_and_runs(tmp_path: Path) -> None:
    """The first call of the README schedules its first job class, and the job does what it says when it is due."""
    (tmp_path / "reports.py").write_text(files("README.md")["reports.py"])
    (tmp_path / "first.py").write_text(FIRST_MODULE)
    (create,) = pasted("")
    due, changed = re.subn(r'"schedule": \{.*?\}', '"when": "2026-01-01T00:00:00Z"', create)
    assert 1 == changed
    with (
        Process.serve("memory:", tmp_path, "--plugin", "first:First") as service,
        Shell(tmp_path, service.url) as shell,
    ):
        assert ["POST 201"] == shell.paste(create).calls
        assert ["POST 201"] == shell.paste(due).calls
        service.wait_for("report sent", to="ada@example.com")


def test_figures_of_the_first_screen() -> None:
    """The figures that are set in bold stand on the pages that are linked there."""
    first, _, _ = (ROOT / "README.md").read_text().partition("\n## ")
    figures = re.findall(r"\*\*(\d[\d,]*)\*\*", first)
    pages = "".join((ROOT / page).read_text() for page in ("docs/proof.md", "docs/benchmarks.md"))
    assert len(figures) >= len(["accepted", "killed", "refused", "ours", "theirs"])
    assert [] == [figure for figure in figures if not re.search(rf"(?<![\d,]){figure}(?![\d,])", pages)]


def test_make_run_and_the_tour(tmp_path: Path) -> None:
    """`make run` says what the README shows; every line of the tour can be pasted, and is answered as shown."""
    (sample,) = (block.text for block in blocks("README.md", "text") if block.section == "See it work")
    created, refused, ahead, history = answers()
    with Demo(tmp_path) as demo, Shell(tmp_path, demo.url) as shell:
        said = iter([alike(line) for line in demo.until(lambda line: line == "Ctrl-C ends it.")])
        for line in filter(None, map(alike, sample.splitlines())):
            assert line.strip() == "…" or line in said, f"not said, or not in this order: {line}"

        seen = []
        for block in pasted(TOUR):
            seen.append(shell.paste(block))
            if '"schedule"' in block and "dryRun" not in block:
                demo.logged("run finished", job=json.loads(seen[-1].output)["id"], outcome="succeeded")

        assert CALLS == [after.calls for after in seen]
        assert shape(created) == shape(json.loads(seen[1].output))
        problem = json.loads(seen[3].output)
        assert refused == {**problem, "instance": refused["instance"]}
        assert ahead == json.loads(seen[4].output)
        assert shape(history) == shape(json.loads(seen[6].output))
        assert 0 == demo.stop()


def test_the_plugin_is_served(tmp_path: Path) -> None:
    """The README's plugin is served from its directory, and its job runs when the README's call asks for it."""
    (tmp_path / "my_plugin.py").write_text(files("README.md")["my_plugin.py"])
    serve, create = pasted("Write a plugin")
    *_, flag, module = shlex.split(serve)
    with Process.serve("memory:", tmp_path, flag, module) as service, Shell(tmp_path, service.url) as shell:
        answer = shell.paste(create)
        assert ["POST 201"] == answer.calls
        service.wait_for("reminded", text="Water the plants", job=json.loads(answer.output)["id"])


@pytest.mark.parametrize("line", range(2))
def test_the_commands_for_several_nodes(tmp_path: Path, postgres: PostgresServer, line: int) -> None:
    """After the README's `db upgrade`, each of its other commands starts a node on PostgreSQL."""
    upgrade, *others = pasted("Several nodes")
    with temporary_database(postgres.url()) as url:
        with Process(*shlex.split(upgrade.splitlines()[-1])[1:], "--store", url, cwd=tmp_path) as upgraded:
            assert 0 == upgraded.wait()
        arguments = [*shlex.split(others[line])[1:], "--store", url, "--log-format", "json"]
        if arguments[0] == "serve":
            arguments += ["--port", "0"]
        with Process(*arguments, cwd=tmp_path) as node:
            node.wait_for("node started")
