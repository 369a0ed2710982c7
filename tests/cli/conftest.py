"""The command line as a test sees it: its exit code and what it printed."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import httpx2
import pytest

import mainspring.launch
from mainspring.cli import main
from mainspring.cli.contexts import Place
from mainspring.client import Client, Retries
from mainspring.settings import Settings


class Ran(NamedTuple):
    """What came of a command."""

    code: int
    out: str
    err: str


Run = Callable[..., Ran]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Run ``mainspring`` in an empty directory with no settings in the environment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    for name in [name for name in os.environ if name.startswith("MAINSPRING_")]:
        monkeypatch.delenv(name)

    def run(*args: str) -> Ran:
        with pytest.raises(SystemExit) as left:
            main(args)
        code = left.value.code or 0
        assert isinstance(code, int)
        return Ran(code, *capsys.readouterr())

    return run


class Compose(ModuleType):
    """Stands in for `mainspring.launch.compose`: a test gives it the functions that the command calls."""

    serve: Callable[[Settings], object]
    node: Callable[[Settings], object]
    load_registry: Callable[[Settings], object]
    db_upgrade: Callable[..., object]
    db_check: Callable[[Settings], object]
    db_rebuild: Callable[[Settings], object]
    moved_by_zone_rules: Callable[[Settings], object]
    check_machine: Callable[[Settings, object], object]
    jobs_without_plugin: Callable[[Settings, object], object]


@pytest.fixture
def compose(monkeypatch: pytest.MonkeyPatch) -> Compose:
    """What the commands find in the place of `mainspring.launch.compose`."""
    module = Compose("mainspring.launch.compose")
    monkeypatch.setitem(sys.modules, "mainspring.launch.compose", module)
    monkeypatch.setattr(mainspring.launch, "compose", module, raising=False)
    return module


class Service:
    """Stands in for a running service: gives the answer that the test wants, and keeps what it was asked."""

    def __init__(self) -> None:
        self.answer = httpx2.Response(204)
        self.at: dict[str, httpx2.Response] = {}
        """What it answers at some paths, such as ``GET /readyz``."""
        self.error: Exception | None = None
        self.asked: list[httpx2.Request] = []

    def handle(self, request: httpx2.Request) -> httpx2.Response:
        """Answer one request."""
        self.asked.append(request)
        if self.error:
            raise self.error
        return self.at.get(f"{request.method} {request.url.path}", self.answer)


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Service:
    """The service that the ``jobs`` commands talk to."""
    service = Service()

    def open_client(place: Place) -> Client:
        transport = httpx2.MockTransport(service.handle)
        return Client(place.url, token=place.token, retries=Retries(attempts=1), transport=transport)

    monkeypatch.setattr("mainspring.cli.service.open_client", open_client)
    return service
