import sys
from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from mainspring.errors import ConfigError
from mainspring.job import JobKey
from mainspring.plugins import load
from tests.plugins.conftest import SEGMENT, sentences

GOOD = """
from mainspring import Binder, SchedulerJob, SchedulerPluginModule, job_group, product

@product("found")
@job_group("{name}")
class Job(SchedulerJob):
    async def execute(self, context): ...

class Plugin(SchedulerPluginModule):
    def configure(self, binder: Binder) -> None:
        binder.bind_job(Job)

class NeedsMore(Plugin):
    def __init__(self, more): ...

class Leaving(Plugin):
    def __init__(self): raise SystemExit(3)

class Undefined(SchedulerPluginModule): ...

class Other: ...

instance = Plugin()
"""


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, str], None]]:
    """Write a Python module where it can be imported. No plugin is installed."""
    monkeypatch.syspath_prepend(tmp_path)
    installed(monkeypatch)
    written = set()

    def write(name: str, text: str) -> None:
        written.add(name)
        (tmp_path / f"{name}.py").write_text(text)

    yield write
    for name in written & sys.modules.keys():
        del sys.modules[name]


def installed(monkeypatch: pytest.MonkeyPatch, **points: str) -> None:
    """Let these entry points be all that are installed."""

    def entry_points(*, group: str) -> list[EntryPoint]:
        return [EntryPoint(name, value, group) for name, value in points.items() if group == "mainspring.plugins"]

    monkeypatch.setattr("mainspring.plugins.discovery.entry_points", entry_points)


Write = Callable[[str, str], None]


def test_load(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """Plugins are found by entry point and by name; one that is found both ways, or named twice, is loaded once."""
    for name in ("found_1", "found_2"):
        write(name, GOOD.format(name=name))
    installed(monkeypatch, first="found_1:Plugin")
    bindings = load(["found_2:Plugin", "found_1:Plugin", "found_2:Plugin"]).bindings
    assert {
        JobKey("found", "found_1"): "entry point first",
        JobKey("found", "found_2"): "plugin found_2:Plugin",
    } == {key: binding.plugin for key, binding in bindings.items()}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("broken_good", "is not of the form package.module:ClassName"),
        ("broken_good:", "is not of the form package.module:ClassName"),
        (":Plugin", "is not of the form package.module:ClassName"),
        ("", "is not of the form package.module:ClassName"),
        ("no_such_module:Plugin", "cannot be imported: there is no module 'no_such_module'"),
        ("broken_good.inner:Plugin", "cannot be imported: there is no module 'broken_good.inner'"),
        ("broken_dependency:Plugin", "cannot be imported: there is no module 'no_such_dependency'"),
        ("broken_good:Plugni", "the module broken_good has no Plugni"),
        ("broken_good:Other", "Other is not a subclass of SchedulerPluginModule"),
        ("broken_good:instance", "instance is not a subclass of SchedulerPluginModule"),
        ("broken_raising:Plugin", "cannot be imported: ValueError: no settings ({path}/broken_raising.py:1)"),
        ("broken_leaving:Plugin", "cannot be imported: SystemExit: 3 ({path}/broken_leaving.py:1)"),
        (
            "broken_attribute:Plugin",
            "cannot be imported: AttributeError: 'int' object has no attribute 'x' ({path}/broken_attribute.py:1)",
        ),
        ("broken_good:Leaving", "Leaving() failed: SystemExit: 3 ({path}/broken_good.py:17)"),
        ("broken_good:NeedsMore", "NeedsMore() failed: TypeError: NeedsMore.__init__() missing 1 required "),
        ("broken_good:Undefined", "Undefined() failed: TypeError: Can't instantiate abstract class Undefined"),
        ("broken_syntax:Plugin", "cannot be imported: SyntaxError: '(' was never closed (broken_syntax.py, line 1)"),
    ],
)
def test_load_of_what_cannot_be_used(write: Write, tmp_path: Path, name: str, expected: str) -> None:
    """Whatever is wrong with a plugin's module, the sentence names the plugin, the reason, and the place."""
    write("broken_good", GOOD.format(name="good"))
    write("broken_dependency", "import no_such_dependency")
    write("broken_raising", "raise ValueError('no settings')")
    write("broken_leaving", "raise SystemExit(3)")
    write("broken_attribute", "(1).x")
    write("broken_syntax", "(")
    with pytest.raises(ConfigError) as caught:
        load([name])
    (sentence,) = sentences(caught.value)
    assert sentence.startswith(f"plugin {name}: {expected.format(path=tmp_path)}")


def test_load_reports_all_at_once(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """Modules that cannot be found, and mistakes in those that can, are one report."""
    write("faulty", GOOD.format(name="a b"))
    installed(monkeypatch, gone="no_such_module:Plugin")
    with pytest.raises(ConfigError) as caught:
        load(["faulty:Plugni", "faulty:Plugin"])
    assert [
        "entry point gone: cannot be imported: there is no module 'no_such_module'",
        "plugin faulty:Plugni: the module faulty has no Plugni",
        f"plugin faulty:Plugin: Job has @job_group('a b'), {SEGMENT}",
    ] == sentences(caught.value)


@pytest.mark.parametrize(
    "error", ["BaseException('no')", "SystemExit('no')", "GeneratorExit('no')", "asyncio.CancelledError('no')"]
)
@pytest.mark.parametrize(
    "text",
    [
        "raise {error}",
        "class Plugin(SchedulerPluginModule):\n    def configure(self, binder): raise {error}",
        "class Plugin(SchedulerPluginModule):\n    def __init__(self): raise {error}\n    def configure(self, _): ...",
    ],
    ids=["module", "configure", "constructor"],
)
def test_whatever_a_plugin_raises_is_reported(write: Callable[[str, str], None], text: str, error: str) -> None:
    """Also what is not even an `Exception`; others are looked at all the same."""
    write("ended", f"import asyncio\nfrom mainspring import SchedulerPluginModule\n{text.format(error=error)}")
    with pytest.raises(ConfigError) as caught:
        load(["ended:Plugin", "missing:Plugin"])
    ended, missing = sorted(sentences(caught.value), key=lambda sentence: "missing" in sentence)
    assert f"{error.partition('(')[0].removeprefix('asyncio.')}: no" in ended
    assert "there is no module 'missing'" in missing


def test_what_a_plugin_raises_need_not_have_words(write: Callable[[str, str], None]) -> None:
    """It is named by its class."""
    write("wordless", "from tests.rogues import UnprintableError\nraise UnprintableError")
    with pytest.raises(ConfigError, match="UnprintableError: a UnprintableError that has no words"):
        load(["wordless:Plugin"])
