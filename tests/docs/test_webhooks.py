"""docs/webhooks.md: its settings are legal, its tables are those of the code, and its receiver works."""

import re
import threading
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from uuid import UUID

import pytest

from mainspring.clock import SystemClock
from mainspring.declared import AllowedTargets, EventChoice, Secret, Webhook
from mainspring.execution.declared.delivery import AT_ONCE, AT_ONCE_IN_ALL, WebhookDelivery
from mainspring.execution.declared.sender import PATIENCE, Sender
from mainspring.service import delivering
from mainspring.service.webhooks import MOST_WEBHOOKS
from mainspring.settings import load_settings
from tests.docs.reading import blocks, table
from tests.docs.test_facts import flowing, words

PAGE = "docs/webhooks.md"
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # noqa: S105 - of this test alone
EVENT = {"id": "a-1", "type": "job.created", "time": "2026-01-01T00:00:00Z", "jobId": str(UUID(int=1))}


def test_the_example_of_settings(tmp_path: Path) -> None:
    """It is legal."""
    (example,) = blocks(PAGE, "toml")
    (tmp_path / "mainspring.toml").write_text(example.text)
    settings = load_settings({}, environ={}, config=tmp_path / "mainspring.toml")
    assert ["orders"] == [webhook.name for webhook in settings.webhooks or ()]


def test_the_tables_of_members() -> None:
    """Each member has a row, and no other."""
    assert [[field.alias for field in Webhook.model_fields.values()]] == [
        [name for row in table(PAGE, "member") for name in words(row[0])][: len(Webhook.model_fields)]
    ]
    text = (flowing(PAGE).split("`filter` takes the parameters")[1]).split("There can be")[0]
    named = set(re.findall(r"\| `([a-zA-Z]+)`|, `([a-zA-Z]+)` \|", text))
    assert {field.alias for field in EventChoice.model_fields.values()} == {a or b for a, b in named}


def test_numbers() -> None:
    """They are those of the code."""
    text = flowing(PAGE)
    assert f"There can be {MOST_WEBHOOKS} webhooks" in text
    assert f"up to {AT_ONCE} calls of one webhook, and {AT_ONCE_IN_ALL} of all" in text
    assert f"When {delivering.MOST_IN_ALL:,} deliveries wait, a webhook that has {delivering.MOST_OF_ONE:,}" in text
    assert f"After {WebhookDelivery.max_attempts} failures" in text
    assert 3 == PATIENCE.days
    backoff = WebhookDelivery.backoff
    assert (5, 3, 6 * 3600) == (backoff.initial.seconds, backoff.factor, backoff.longest.seconds)


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[ThreadingHTTPServer]:
    """The receiver of the page, on a free port."""
    monkeypatch.setenv("ORDERS_SECRET", SECRET)
    (code,) = blocks(PAGE, "python")
    module = ModuleType("receiver")
    exec(code.text, module.__dict__)  # noqa: S102 - of our own page
    with ThreadingHTTPServer(("127.0.0.1", 0), module.Receiver) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


async def test_the_receiver(
    receiver: ThreadingHTTPServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It takes what is signed by its secret, each delivery once, and nothing else."""
    monkeypatch.setenv("OTHER", SECRET[:-4] + "aaaa")
    secrets = {name: Secret(environment=variable) for name, variable in (("ours", "ORDERS_SECRET"), ("other", "OTHER"))}
    sender = Sender(secrets, AllowedTargets(["127.0.0.1"]))
    url = f"http://127.0.0.1:{receiver.server_port}/"
    webhook = Webhook(name="x", url=url, secret="ours")  # noqa: S106 - its name
    now = SystemClock().now()
    for expected, secret in ((204, "ours"), (204, "ours"), (401, "other")):
        told = webhook.model_copy(update={"secret": secret})
        answer = await sender.send(told, UUID(int=5), EVENT, now)
        assert expected == answer.status
    sender.close()
    assert 1 == capsys.readouterr().out.count("mainspring.job.created")
