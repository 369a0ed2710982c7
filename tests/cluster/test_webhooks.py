"""Webhooks of whole processes: a receiver that fails, and a node that dies between two steps."""

import json
import signal
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx2
import pytest
from standardwebhooks import Webhook

from mainspring.store.postgres.schema import rebuild_schema
from tests.cluster.process import PATIENCE, PLUGIN, Process
from tests.cluster.test_processes import soon
from tests.postgres import PostgresServer, temporary_database

KEY = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
TYPES = "job.created,run.ended"
JOBS = 25


class Receiver:
    """Refuses the first call of every third delivery, and takes all others if their signature is right."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.calls = 0
        self._refused: set[str] = set()
        self._accepted: dict[str, set[str]] = defaultdict(set)
        self._changed = threading.Condition()

    def status(self, headers: dict[str, str], body: bytes) -> int:
        """Take a call, and return what it is answered."""
        event = Webhook(KEY).verify(body, headers)
        delivery = headers["webhook-id"]
        with self._changed:
            self.calls += 1
            if int(delivery[-1], 16) % 3 == 0 and delivery not in self._refused:
                self._refused.add(delivery)
                return 500
            self._accepted[event["id"]].add(delivery)
            self._changed.notify_all()
        return 204

    def wait_for(self, events: set[str]) -> dict[str, set[str]]:
        """Wait until all these events have arrived, and return which deliveries brought each event."""
        with self._changed:
            arrived = self._changed.wait_for(lambda: self._accepted.keys() >= events, PATIENCE)
            assert arrived, events - self._accepted.keys()
            return dict(self._accepted)

    @property
    def has_refused(self) -> bool:
        """Whether any call was refused."""
        return bool(self._refused)


@contextmanager
def receiving() -> Iterator[Receiver]:
    """Listen for calls."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            self.send_response(receiver.status(headers, body))
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - as the class has it
            """Be quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        receiver = Receiver(f"http://127.0.0.1:{server.server_port}/hook")
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield receiver
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A store of either kind."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/jobs.db"
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    with temporary_database(server.url()) as url:
        rebuild_schema(url)
        yield url


def configured(folder: Path, receiver: Receiver) -> None:
    """Write settings that declare the webhook, and its secret."""
    secret = folder / "secret"
    secret.write_text(KEY)
    secret.chmod(0o600)
    (folder / "mainspring.toml").write_text(
        f"""
        allowed_targets.mainspring = ["127.0.0.1"]
        [secrets]
        hooks = {{ file = "{secret}" }}
        [[webhooks]]
        name = "all"
        url = "{receiver.url}"
        secret = "hooks"
        filter = {{ product = "test", type = {json.dumps(TYPES.split(","))} }}
        """
    )


def doomed(store: str, folder: Path, failpoint: str) -> Process:
    """Start a service that kills itself at a failpoint."""
    process = Process(
        "serve", "--port", "0", "--store", store, "--plugin", PLUGIN, "--log-format", "json", "--lease", "PT2S",
        cwd=folder,
        under=["env", f"MAINSPRING_FAILPOINTS={failpoint}=kill"],
    )  # fmt: skip
    process.url = process.wait_for("serving")["url"]
    process.wait_for("declared webhook", webhook="all", was="written")
    return process


def happened(service: Process) -> set[str]:
    """Return the ids of all events that the webhook is to hear of."""
    found: set[str] = set()
    url = f"{service.url}/api/schedulers/test/events?type={TYPES}&after=oldest&limit=1000&wait=0"
    while (page := httpx2.get(url, headers={"Accept": "application/json"})).json():
        found |= {event["id"] for event in page.json()}
        url = f"{service.url}{page.links['next']['url']}"
    return found


def create_until_it_dies(process: Process, path: Path) -> None:
    """Create some jobs, as long as there is anybody who takes them."""
    with suppress(httpx2.RequestError):
        for _ in range(JOBS):
            process.create(when=soon(0), path=str(path))


@pytest.mark.parametrize("store", ["sqlite", "postgres"], indirect=True)
@pytest.mark.parametrize("failpoint", ["webhooks.written", "finish.before"])
def test_each_event_arrives_under_one_id(store: str, tmp_path: Path, failpoint: str) -> None:
    """Though the receiver fails at first, and the node dies with deliveries written, or with answers not written."""
    with receiving() as receiver:
        configured(tmp_path, receiver)
        with doomed(store, tmp_path, failpoint) as process:
            create_until_it_dies(process, tmp_path / "record.txt")
            assert -signal.SIGKILL == process.wait()
        with Process.serve(store, tmp_path, "--lease", "PT2S") as service:
            last = [service.create(when=soon(0), path=str(tmp_path / "record.txt")) for _ in range(JOBS)][-1]
            service.wait_for("run finished", job=last, outcome="succeeded")
            while service.get("?limit=1"):
                pass
            expected = happened(service)
            assert len(expected) > 2 * JOBS
            arrived = receiver.wait_for(expected)
            url = f"{service.url}/api/schedulers/webhooks/all"
            assert "hooks" == httpx2.get(url).json()["secret"]
            deliveries = httpx2.get(f"{url}/deliveries?limit=1000").json()
        assert expected == set(arrived)
        assert {1} == {len(ids) for ids in arrived.values()}
        assert {delivery for ids in arrived.values() for delivery in ids} == {each["id"] for each in deliveries}
        assert receiver.has_refused
    if store.startswith("sqlite"):
        assert KEY.removeprefix("whsec_").encode() not in (tmp_path / "jobs.db").read_bytes()


@pytest.mark.parametrize("store", ["postgres"], indirect=True)
def test_nodes_hand_on_each_event_once(store: str, tmp_path: Path) -> None:
    """Several at the same time, also one without REST; when one dies the others go on."""
    with receiving() as receiver:
        configured(tmp_path, receiver)
        with Process.serve(store, tmp_path, "--lease", "PT2S", "--node", "b") as service:
            service.wait_for("declared webhook", webhook="all", was="written")
            with Process.node(store, tmp_path, "--lease", "PT2S", "--node", "a") as node:
                for number in range(JOBS):
                    service.create(when=soon(0), path=str(tmp_path / "record.txt"))
                    if number == JOBS // 2:
                        node.kill()
            while service.get("?limit=1"):
                pass
            expected = happened(service)
            arrived = receiver.wait_for(expected)
    assert 2 * JOBS <= len(expected)
    assert (expected, {1}) == (set(arrived), {len(ids) for ids in arrived.values()})
