"""Failpoints: nothing unless armed, exactly what was asked where they are, and refused in words what is none."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mainspring.errors import ConfigError
from mainspring.failpoint import NAMES, VARIABLE, FailpointError, armed, fp

SOURCE = Path(__file__).parents[1] / "src/mainspring"


def run(plan: str, *names: str) -> subprocess.CompletedProcess[str]:
    """Pass failpoints in a process that was started with this plan, then say that all went well."""
    passes = "\n".join(f"fp({name!r})" for name in names)
    return subprocess.run(
        [sys.executable, "-c", f"from mainspring.failpoint import fp\n{passes}\nprint('through')"],
        env={**os.environ, VARIABLE: plan},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_unarmed_is_an_empty_function() -> None:
    """Without a plan a failpoint costs one empty call: no lookup, no counting."""
    assert fp is armed("")
    assert fp.__code__.co_names == ()
    assert fp.__code__.co_consts[0] == fp.__doc__


def test_names_have_sentences() -> None:
    """Each failpoint says what has happened when it is reached; there are enough of them."""
    assert len(NAMES) >= 24
    assert all(sentence.endswith(".") for sentence in NAMES.values())


def test_code_passes_only_failpoints_that_there_are() -> None:
    """A name that is misspelt in the code would never be armed."""
    passed = {name for path in SOURCE.rglob("*.py") for name in re.findall(r'\bfp\("([^"]*)"\)', path.read_text())}
    assert passed <= set(NAMES)


def test_kill_ends_the_process_at_once() -> None:
    """The process dies of SIGKILL, the first time, and has said where."""
    ended = run("claim.after=kill", "claim.before", "claim.after")
    assert (-signal.SIGKILL, "") == (ended.returncode, ended.stdout)
    assert {"event": "failpoint", "failpoint": "claim.after", "action": "SIGKILL"} == json.loads(ended.stderr)


def test_kill_at_the_nth_time() -> None:
    """The times before pass."""
    assert "through\n" == run("beat.before=kill@3", "beat.before", "beat.before").stdout
    assert -signal.SIGKILL == run("beat.before=kill@3", *["beat.before"] * 3).returncode


def test_stop_goes_on_after_sigcont() -> None:
    """The process stops itself once and goes on when it is continued."""
    process = subprocess.Popen(
        [sys.executable, "-c", "from mainspring.failpoint import fp\nfp('run.end')\nfp('run.end')\nprint('through')"],
        env={**os.environ, VARIABLE: "run.end=stop"},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    _, status = os.waitpid(process.pid, os.WUNTRACED)
    assert os.WIFSTOPPED(status)
    process.send_signal(signal.SIGCONT)
    assert "through\n" == process.communicate(timeout=30)[0]


def test_raise_each_time(capfd: pytest.CaptureFixture[str]) -> None:
    """What is raised looks like a lost connection, each time that the place is reached, and only there."""
    pass_by = armed("claim.sent=raise, finish.sent=raise@2")
    for _ in range(2):
        with pytest.raises(FailpointError, match=r"claim\.sent"):
            pass_by("claim.sent")
    pass_by("finish.sent")
    with pytest.raises(ConnectionError):
        pass_by("finish.sent")
    pass_by("finish.sent")
    pass_by("beat.after")
    assert 3 == len(capfd.readouterr().err.splitlines())


def test_delay_sleeps(monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread that comes by sleeps for so many seconds."""
    slept: list[float] = []
    monkeypatch.setattr("mainspring.failpoint.time.sleep", slept.append)
    pass_by = armed("sweep.seen=delay:0.25")
    pass_by("sweep.seen")
    pass_by("sweep.seen")
    assert [0.25, 0.25] == slept


@pytest.mark.parametrize(
    ("plan", "saying"),
    [
        ("claim.afetr=kill", "no failpoint 'claim.afetr'"),
        ("claim.after", "name=action"),
        ("claim.after=explode", "kill, stop, raise or delay:SECONDS"),
        ("claim.after=kill@0", "name=action@n"),
        ("claim.after=delay", "delay:SECONDS"),
        ("claim.after=kill claim.before=kill", "name=action"),
    ],
)
def test_what_cannot_be_armed_is_refused(plan: str, saying: str) -> None:
    """A plan that would do nothing by mistake is refused, in words."""
    with pytest.raises(ConfigError, match=re.escape(VARIABLE)) as refusal:
        armed(plan)
    assert saying in str(refusal.value)


def test_process_with_a_wrong_plan_does_not_start(tmp_path: Path) -> None:
    """The command ends with the exit code of a wrong configuration and one sentence."""
    ended = subprocess.run(
        [sys.executable, "-m", "mainspring", "node", "--store", "memory:"],
        env={**os.environ, VARIABLE: "claim.afetr=kill"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (78, "") == (ended.returncode, ended.stdout)
    assert "no failpoint 'claim.afetr'" in ended.stderr
    assert "Traceback" not in ended.stderr
