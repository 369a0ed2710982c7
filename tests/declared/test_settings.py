"""Jobs without code in the settings: what is told of those that are wrong, all at once and by their keys."""

import json
import re
from pathlib import Path

import pytest

from mainspring.cli import main
from mainspring.declared import CommandJob, HttpJob
from mainspring.errors import ConfigError
from mainspring.execution import load_all
from mainspring.job import JobKey
from mainspring.settings import Settings, load_settings
from mainspring.web.endpoints import ROWS
from mainspring.web.openapi import document
from tests.docs.reading import ROOT, blocks

WRONG = """
port = "eighty"

[[http_jobs]]
product = "shop"
job_group = "hooks"
url = "http://127.1/x/{id}"
colour = "red"
headers = {Host = "x", "a b" = "c", webhook-id = "1", Ok = "fine"}
time_limit = "PT2H"
method = "CONNECT"
request = {properties = {id = {type = "strin"}}}

[[http_jobs]]
product = "shop"
job_group = "a/b"
url = "https://{host}/"
max_attempts = 0
secret = "no such"

[[http_jobs]]
product = "shop"
job_group = "open"
secret = "hooks"
headers = {Authorization = "x"}

[[http_jobs]]
product = "shop"
job_group = "more"
url = "https://example.com/{id}/{other}?{q}"
body = {a = "{missing}"}
request = {properties = {id = {}, q = {}}}

[[command_jobs]]
product = "shop"
job_group = "dump"
command = []
environment = {MAINSPRING_X = "1", "a b" = "c"}
working_directory = "here"
success = [256]

[secrets]
inline = "whsec_c2VjcmV0"
both = {environment = "X", file = "/x"}

[allowed_targets]
shop = ["*.internal", "10.0.0.0/8"]
"""


def problems(text: str, path: Path) -> dict[str, str]:
    """Load settings that are wrong; return what is said of each place."""
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_settings({}, environ={}, config=path)
    _, *lines = str(caught.value).splitlines()
    return {
        place.strip().removesuffix(":"): words for place, _, words in (line.strip().partition(" ") for line in lines)
    }


def test_all_problems_come_at_once(tmp_path: Path) -> None:
    """Each with its key; no secret is repeated."""
    found = problems(WRONG, tmp_path / "m.toml")
    assert found.keys() == {
        "port",
        "http_jobs[0].url",
        "http_jobs[0].colour",
        "http_jobs[0].headers.Host",
        "http_jobs[0].headers.a",
        "http_jobs[0].headers.webhook-id",
        "http_jobs[0].time_limit",
        "http_jobs[0].method",
        "http_jobs[0].request.properties.id.type",
        "http_jobs[1].job_group",
        "http_jobs[1].url",
        "http_jobs[1].max_attempts",
        "http_jobs[1].secret",
        "http_jobs[2].secret",
        "http_jobs[2].headers",
        "http_jobs[3].url",
        "http_jobs[3].body",
        "command_jobs[0].command[0]",
        "command_jobs[0].environment.MAINSPRING_X",
        "command_jobs[0].environment.a",
        "command_jobs[0].working_directory",
        "command_jobs[0].success[0]",
        "secrets.inline",
        "secrets.both",
        "allowed_targets.shop[0]",
    }
    assert "c2VjcmV0" not in str(found)
    assert found["http_jobs[0].url"].endswith("write it as four decimal numbers (HTTP_TARGET_FORBIDDEN)")


CONFLICTS = """
[[http_jobs]]
product = "shop"
job_group = "hooks"
url = "http://127.0.0.1:81/"
secret = "hooks"

[[command_jobs]]
product = "shop"
job_group = "hooks"
command = ["true"]
"""


def test_what_does_not_go_together(tmp_path: Path) -> None:
    """A group twice, a secret that is nowhere, and a host that is not allowed."""
    assert problems(CONFLICTS, tmp_path / "m.toml").keys() == {
        "http_jobs[0].url",
        "http_jobs[0].secret",
        "command_jobs[0].job_group",
    }


def test_doctor_tells(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Also of a secret that cannot be used, which only a node needs."""
    monkeypatch.chdir(tmp_path)
    secret = tmp_path / "secret"
    secret.write_text("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    secret.chmod(0o644)
    path = tmp_path / "mainspring.toml"
    path.write_text(
        '[[http_jobs]]\nproduct = "a"\njob_group = "b"\nurl = "https://example.com"\nsecret = "s"\n'
        f'[secrets]\ns = {{file = "{secret}"}}\n'
    )
    with pytest.raises(SystemExit) as left:
        main(["plugins", "list"])
    assert left.value.code == 78
    words = " ".join(capsys.readouterr().err.split())
    assert "settings: the secret s is not used: everybody may use" in words
    secret.chmod(0o600)
    with pytest.raises(SystemExit):
        main(["plugins", "list"])
    assert "settings" in capsys.readouterr().out
    path.write_text(CONFLICTS)
    with pytest.raises(SystemExit) as left:
        main(["doctor", "--store", "memory:"])
    assert left.value.code == 1
    assert "http_jobs[0].secret" in capsys.readouterr().out


def test_they_cross_to_workers(tmp_path: Path) -> None:
    """A worker makes the same groups of what its node tells it, in JSON."""
    path = tmp_path / "m.toml"
    path.write_text(
        CONFLICTS.replace('secret = "hooks"', 'body = {a = ["{x}"]}\nrequest = {properties = {x = {}}}').replace(
            '"hooks"\ncommand', '"dump"\ntime_limit = "P1D"\ncommand'
        )
        + '[allowed_targets]\nshop = ["127.0.0.1"]\n[secrets]\ns = {environment = "S"}\n'
        + '[[webhooks]]\nname = "w"\nurl = "https://x.example/"\nfilter = {job_group = "g", product = "p"}\n'
    )
    settings = load_settings({}, environ={}, config=path)
    told = {"http_jobs", "command_jobs", "webhooks", "secrets", "allowed_targets"}
    again = Settings(**settings.model_dump(mode="json", include=told))
    assert all(getattr(settings, name) == getattr(again, name) for name in told)


WEBHOOKS = """
[[webhooks]]
name = "a"
url = "https://x.example"
time_limit = "PT5M"
filter = {job_group = "x", typ = ["a"]}
[[webhooks]]
name = "a b"
url = "http://x.example"
timeLimit = "PT5S"
"""
PRIVATE = "has the host 10.0.0.1, which is private"
TWICE = """
[[webhooks]]
name = "a"
url = "https://x.example"
secret = "none"
[[webhooks]]
name = "a"
url = "http://10.0.0.1"
"""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            WEBHOOKS,
            [
                "webhooks[0].filter.typ (m.toml) is not a field of a webhook",
                "webhooks[0].time_limit (m.toml) must be a length of time from PT0.1S to PT1M",
                "webhooks[1].name (m.toml) must match pattern '^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$'",
                "webhooks[1].timeLimit (m.toml) is not a field of a webhook",
            ],
        ),
        (
            TWICE,
            [
                "webhooks[0].secret (m.toml) is none, which [secrets] does not have",
                "webhooks[1].name (m.toml) is that of webhooks[0] too",
                f"webhooks[1].url (m.toml) {PRIVATE}; allowed_targets.mainspring can allow it",
            ],
        ),
    ],
)
def test_what_is_wrong_with_webhooks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, expected: list[str]
) -> None:
    """All of it, in the words of the file."""
    monkeypatch.chdir(tmp_path)
    Path("m.toml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_settings({}, environ={}, config=Path("m.toml"))
    assert expected == [line.strip() for line in str(caught.value).splitlines()[1:]]


PAGE = "docs/jobs-without-code.md"


def test_the_example_of_the_page(tmp_path: Path) -> None:
    """It is legal."""
    (example,) = blocks(PAGE, "toml")
    path = tmp_path / "mainspring.toml"
    path.write_text(example.text)
    settings = load_settings({}, environ={}, config=path)
    assert (1, 1) == (len(settings.http_jobs), len(settings.command_jobs))


def test_the_page_names_all_keys() -> None:
    """Each key of both kinds of job is in its table, and no other is."""
    lines = (ROOT / PAGE).read_text().split("## Command jobs")
    models: list[type[HttpJob | CommandJob]] = [HttpJob, CommandJob]
    for part, model in zip(lines, models, strict=True):
        rows = [line.split("|")[1] for line in part.splitlines() if line.startswith("| `")]
        named = {name for row in rows for name in re.findall(r"`([a-z_]+)`", row)}
        assert model.model_fields.keys() == named


def test_the_document_describes_them() -> None:
    """A client reads in the OpenAPI document what a group takes, and its example is taken."""
    job = {
        "product": "shop",
        "job_group": "hooks",
        "url": "https://example.com/{id}",
        "request": {
            "required": ["id"],
            "properties": {"id": {"type": "string", "maxLength": 9}, "n": {"type": "integer", "default": 3}},
            "minProperties": 1,
        },
    }
    more = {"product": "shop", "job_group": "open"}
    settings = Settings.model_validate({"http_jobs": [job, more]})
    bindings = load_all(settings).bindings
    schema = bindings[JobKey("shop", "hooks")].request_model.model_json_schema()
    assert {"maxLength": 9, "type": "string", "title": "Id"} == schema["properties"]["id"] | {"title": "Id"}
    assert {"n": 3} == {name: part["default"] for name, part in schema["properties"].items() if name == "n"}
    assert ["id"] == schema["required"]
    described = document(ROWS, [each for each in bindings.values() if each.key.product == "shop"], "1")
    text = json.dumps(described)
    assert '"maxLength": 9' in text
    assert "https://example.com/hook" in text


def test_workers_do_without_secrets() -> None:
    """A worker has no variables that may be secret, and still knows the groups."""
    job = {"product": "shop", "job_group": "hooks", "url": "https://example.com", "secret": "s"}
    settings = Settings.model_validate({"http_jobs": [job], "secrets": {"s": {"environment": "NOT_IN_WORKERS"}}})
    with pytest.raises(ConfigError, match="no variable NOT_IN_WORKERS"):
        load_all(settings)
    assert JobKey("shop", "hooks") in load_all(settings, in_worker=True).bindings
