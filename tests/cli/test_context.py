"""``mainspring context``: the file, who may write it, and which service a command asks."""

import json
import stat
from pathlib import Path

import httpx2
import pytest

from tests.cli.conftest import Run, Service

TOKEN = "t0p-secret"  # noqa: S105 - of a test


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where the contexts are."""
    return tmp_path / "config" / "mainspring" / "contexts.toml"


@pytest.fixture
def groups(service: Service) -> Service:
    """A service without groups."""
    service.answer = httpx2.Response(200, json=[])
    return service


def hosts(service: Service) -> list[tuple[str, str | None]]:
    """Return who was asked, with which token."""
    return [(str(request.url.host), request.headers.get("Authorization")) for request in service.asked]


def test_contexts_are_added_listed_used_and_removed(run: Run, file: Path) -> None:
    """The first is in use at once; the token itself is nowhere."""
    added = run("context", "add", "prod", "--url", "https://u:hunter2@prod", "--token-env", "PROD_TOKEN")
    assert (0, "The context prod is added.\nIt is in use.\n", "") == added
    assert (0, "The context dev is added.\n", "") == run("context", "add", "dev", "--url", "http://dev:8089")
    assert (0, "The context dev is in use.\n", "") == run("context", "use", "dev")
    assert [
        {"name": "prod", "inUse": False, "url": "https://u:***@prod", "token": "$PROD_TOKEN"},
        {"name": "dev", "inUse": True, "url": "http://dev:8089", "token": None},
    ] == json.loads(run("context", "list", "--json").out)
    assert 0o600 == stat.S_IMODE(file.stat().st_mode)
    assert 0o700 == stat.S_IMODE(file.parent.stat().st_mode)
    assert (0, "The context dev is removed.\n", "") == run("context", "remove", "dev")
    assert ["prod"] == [each["name"] for each in json.loads(run("context", "list", "--json").out)]
    assert [file] == [*file.parent.iterdir()]


def test_which_service_is_asked(run: Run, groups: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """The flag of the address, its variable, the flag of the context, its variable, the one in use, this machine."""
    run("groups", "list")
    for name in ("used", "named", "flagged"):
        run("context", "add", name, "--url", f"http://{name}")
    run("groups", "list")
    monkeypatch.setenv("MAINSPRING_CONTEXT", "named")
    run("groups", "list")
    run("groups", "list", "--context", "flagged")
    monkeypatch.setenv("MAINSPRING_URL", "http://variable")
    run("groups", "list")
    told = run("groups", "list", "--context", "flagged", "--url", "http://flag").err
    assert "Warning: --url or MAINSPRING_URL names the service, so the context flagged does not count.\n" == told
    assert ["127.0.0.1", "used", "named", "flagged", "variable", "flag"] == [host for host, _ in hosts(groups)]


def test_token_goes_to_the_service_of_its_context_alone(
    run: Run, groups: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is read when a command runs; another address does not get it."""
    path = tmp_path / "token"
    path.write_text(f"{TOKEN}\n")
    path.chmod(0o600)
    monkeypatch.setenv("PROD_TOKEN", TOKEN)
    run("context", "add", "file", "--url", "http://file", "--token-file", "token")
    run("context", "add", "env", "--url", "http://env", "--token-env", "PROD_TOKEN")
    run("groups", "list")
    run("groups", "list", "--context", "env")
    run("groups", "list", "--url", "http://elsewhere")
    assert [("file", f"Bearer {TOKEN}"), ("env", f"Bearer {TOKEN}"), ("elsewhere", None)] == hosts(groups)
    assert TOKEN not in run("context", "list").out


def test_token_that_is_not_there(run: Run, groups: Service, tmp_path: Path) -> None:
    """Where it should be is told; nothing is asked."""
    run("context", "add", "a", "--url", "http://a", "--token-file", "token")
    code, _, err = run("groups", "list")
    assert (78, f"the token of the context a cannot be read: {tmp_path}/token: No such file or directory\n") == (
        code,
        err,
    )
    run("context", "add", "a", "--url", "http://a", "--token-env", "A_TOKEN")
    assert (78, "", "the context a takes its token from A_TOKEN, which is not set\n") == run("groups", "list")
    assert [] == groups.asked


@pytest.mark.parametrize("content", [b"", b"two words", b"a\nb", b"\xff", "schl\u00fcssel".encode()])
def test_file_without_a_token(run: Run, groups: Service, tmp_path: Path, content: bytes) -> None:
    """What is no token is not printed either."""
    (tmp_path / "token").write_bytes(content)
    (tmp_path / "token").chmod(0o600)
    run("context", "add", "a", "--url", "http://a", "--token-file", "token")
    code, _, err = run("groups", "list")
    assert (78, [], True) == (code, groups.asked, "token" in err)
    assert not content or content.decode(errors="replace") not in err


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
@pytest.mark.parametrize("what", ["contexts", "token"])
def test_files_that_others_may_write_are_refused(
    run: Run, groups: Service, file: Path, tmp_path: Path, what: str, mode: int
) -> None:
    """Whoever writes them says where a token goes."""
    (tmp_path / "token").write_text(TOKEN)
    (tmp_path / "token").chmod(0o600)
    run("context", "add", "a", "--url", "http://a", "--token-file", "token")
    loose = file if what == "contexts" else tmp_path / "token"
    loose.chmod(mode)
    code, _, err = run("groups", "list")
    assert (78, f"others may write to {loose}: look at what it says, then chmod 600 it\n") == (code, err)
    assert [] == groups.asked


def test_everything_wrong_with_the_file_is_told(run: Run, file: Path) -> None:
    """Each with its place."""
    file.parent.mkdir(parents=True)
    file.write_text('current = "b"\ncolour = 1\n[contexts.a]\ntoken_file = 3\ntoken_env = "A"\nport = 4\n')
    file.chmod(0o600)
    code, _, err = run("context", "list")
    assert 78 == code
    assert {
        f"{file}: colour: there is no such member",
        f"{file}: contexts.a.port: there is no such member",
        f"{file}: contexts.a.token_file: must be text",
        f"{file}: contexts.a.url: must be text",
        f"{file}: contexts.a: has both token_file and token_env; leave one out",
        f"{file}: current: must be the name of a context",
    } == {*err.splitlines()}
    file.write_text("[")
    assert f"{file} is not TOML" in run("context", "list").err
    file.write_text("contexts = 3")
    assert (78, f"{file}: contexts: must be tables\n") == run("context", "list")[::2]


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (["add", "a b", "--url", "http://a"], 2, "'a b' is no name of a context"),
        (["add", "-x", "--url", "http://a"], 2, "-x"),
        (["add", "a", "--url", "a:1"], 2, "'a:1' is not an address such as http://127.0.0.1:8089"),
        (["add", "a", "--url", "http://a\x07"], 2, "http://a"),
        (["add", "a"], 2, "--url"),
        (["add", "a", "--url", "http://a", "--token-env", "A", "--token-file", "a"], 2, "leave one out"),
        (["use", "prdo"], 78, "there is no context 'prdo'; did you mean prod?"),
        (["remove", "x"], 78, "there is no context 'x'; 'mainspring context list' shows which there are"),
    ],
)
def test_what_cannot_be_done(run: Run, args: list[str], code: int, said: str) -> None:
    """It is told, and the file stays."""
    run("context", "add", "prod", "--url", "http://prod")
    ran = run("context", *args)
    assert (code, True) == (ran.code, said in ran.err)
    assert ["prod"] == [each["name"] for each in json.loads(run("context", "list", "--json").out)]


def test_text_stays_text_in_the_file(run: Run, file: Path) -> None:
    """Quotes and backslashes too."""
    run("context", "add", "a", "--url", "http://a", "--token-file", '/x/"q"\\y')
    assert '/x/"q"\\y' == json.loads(run("context", "list", "--json").out)[0]["token"]
    assert 'token_file = "/x/\\"q\\"\\\\y"' in file.read_text()


@pytest.mark.usefixtures("groups")
def test_user_without_a_home(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container: this machine is asked, and who wants a context hears what is missing."""

    def homeless(_: Path) -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CONFIG_HOME")
    monkeypatch.setattr(Path, "expanduser", homeless)
    assert 0 == run("groups", "list").code
    told = "this user has no home directory: say with XDG_CONFIG_HOME where contexts are\n"
    assert (78, "", told) == run("groups", "list", "--context", "a")
    assert (78, "", told) == run("context", "list")


def test_context_is_replaced(run: Run) -> None:
    """By adding it again; the one in use stays in use."""
    run("context", "add", "a", "--url", "http://a")
    assert "The context a is replaced.\n" == run("context", "add", "a", "--url", "http://b").out
    (found,) = json.loads(run("context", "list", "--json").out)
    assert {"name": "a", "inUse": True, "url": "http://b", "token": None} == found


def test_file_of_another_user(run: Run, groups: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """Is not believed."""
    run("context", "add", "a", "--url", "http://a")
    monkeypatch.setattr("os.geteuid", lambda: 4711)
    monkeypatch.setattr("mainspring.cli.contexts._ROOT", 4712)
    code, _, err = run("groups", "list")
    assert (78, True, []) == (code, "belongs to another user" in err, groups.asked)
