import ast
import inspect

import mainspring
from mainspring.job import JobKey
from mainspring.plugins import build
from tests.typing import author


def test_an_author_is_shown_the_whole_surface() -> None:
    """What the type checker looks at uses every public name, so that none changes unseen."""
    imports = [node for node in ast.walk(ast.parse(inspect.getsource(author))) if isinstance(node, ast.ImportFrom)]
    assert [set(mainspring.__all__)] == [
        {alias.name for alias in node.names} for node in imports if node.module == "mainspring"
    ]


def test_what_an_author_writes_is_right() -> None:
    """What the type checker accepts, a service starts with."""
    registry = build([("author", author.Vps4SchedulerPluginModule())])
    assert [JobKey("vps4", "backups"), JobKey("vps4", "patch")] == list(registry.bindings)
