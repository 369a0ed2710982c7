"""The log is Mainspring's own, and nothing in a line controls a terminal."""

import io
import json
import logging.config
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import pytest
import structlog

from mainspring import logs
from mainspring.settings import Settings
from tests.rogues import UnprintableError, drop

EVIL = "a\x1b[2Jb\u202ec\x9bd\r\x07e\u2066f"
"""Clears the screen, turns the direction of writing, goes back to the beginning of the line, rings."""


@contextmanager
def own_log() -> Iterator[None]:
    """Let the log be configured in here, and be as before in the end."""
    handlers, level, stream = [*logging.root.handlers], logging.root.level, logs._handler.stream  # noqa: SLF001
    made = logs._Logger.made  # noqa: SLF001
    try:
        yield
    finally:
        if (ours := logs._handler.setStream(stream)) is not None:  # noqa: SLF001
            ours.close()
        logs._Logger.made = made  # noqa: SLF001
        structlog.reset_defaults()
        logging.root.handlers[:] = handlers
        logging.root.setLevel(level)
        logging.disable(logging.NOTSET)


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """The log of this process is as before in the end."""
    with own_log():
        yield


def written(capfd: pytest.CaptureFixture[str]) -> str:
    """Return what was written to stderr."""
    return capfd.readouterr().err


def write_to_nowhere() -> None:
    """Put another stream in the place of stderr."""
    sys.stderr = io.StringIO()


CHANGES: dict[str, Callable[[], object]] = {
    "drops": lambda: structlog.configure(processors=[drop]),
    "another form": lambda: structlog.configure(processors=[structlog.dev.ConsoleRenderer()]),
    "defaults": structlog.reset_defaults,
    "dictConfig": lambda: logging.config.dictConfig({"version": 1}),
    "disable": lambda: logging.disable(logging.CRITICAL),
    "another stream": write_to_nowhere,
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_what_plugins_configure_is_not_ours(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, change: Callable[[], object]
) -> None:
    """Our lines come as before, those of `context.log` too, whether they were used before or not."""
    monkeypatch.setattr(sys, "stderr", sys.stderr)
    used, unused = logs.logger("used"), logs.logger("unused")
    logs.configure(Settings(log_format="json"))
    used.info("before")
    change()
    used.info("after")
    unused.bind(job=1).warning("first")
    lines = [json.loads(line) for line in written(capfd).splitlines()]
    assert [("before", "info"), ("after", "info"), ("first", "warning")] == [(x["event"], x["level"]) for x in lines]


def test_plugins_may_log_by_structlog_in_our_form(capfd: pytest.CaptureFixture[str]) -> None:
    """Unless they choose another."""
    logs.configure(Settings(log_format="json"))
    structlog.get_logger().info("said by a plugin")
    structlog.configure(processors=[lambda *_: "in another form"])
    structlog.get_logger().info("said by a plugin")
    first, second = written(capfd).splitlines()
    assert ("said by a plugin", "in another form") == (json.loads(first)["event"], second)


def test_a_library_is_heard_whatever_formatter_it_is_given(capfd: pytest.CaptureFixture[str]) -> None:
    """Its lines have the form of ours."""
    logs.configure(Settings(log_format="json"))
    for handler in logging.root.handlers:
        handler.setFormatter(logging.Formatter("%(message)s"))
    logging.getLogger("asyncio").error("of a library")
    assert ["of a library"] == [json.loads(line)["event"] for line in written(capfd).splitlines()]


class Odd:
    """A value whose words control the terminal."""

    def __repr__(self) -> str:
        return EVIL


class Silent:
    """A value that has no words."""

    def __repr__(self) -> NoReturn:
        raise SystemExit(3)


def says(event: str = "said", **facts: Any) -> Callable[[], object]:
    """Log a line of a plugin."""
    return lambda: logs.logger("mainspring").warning(event, **facts)


def by_a_library() -> None:
    """Log a line of a library."""
    logging.getLogger("asyncio").error(EVIL, exc_info=ValueError(EVIL))


LINES = {
    "event": says(event=EVIL),
    "value": says(reason=EVIL),
    "name": says("said", **{EVIL: 1}),
    "repr": says(value=Odd()),
    "inside": says(value=[Odd(), {"a": EVIL}]),
    "traceback": says(exc_info=ValueError(EVIL)),
    "cause": says(exc_info=ExceptionGroup(EVIL, [KeyError(EVIL)])),
    "exception": says(exception=EVIL),
    "stack": says(stack=EVIL),
    "library": by_a_library,
}


@pytest.mark.parametrize("line", LINES.values(), ids=LINES)
@pytest.mark.parametrize("form", ["console", "json"])
def test_nothing_in_a_line_controls_a_terminal(
    capfd: pytest.CaptureFixture[str], form: Any, line: Callable[[], object]
) -> None:
    """Escapes, bells and turns of direction are written in words; colours are our own."""
    logs.configure(Settings(log_format=form))
    line()
    text = re.sub(r"\x1b\[\d+m", "", written(capfd))
    assert "[2Jb" in text
    assert [] == [c for c in text if not c.isprintable() and c != "\n"]


FORGED = "x\n2026-01-01T00:00:00Z [info] forged"
FORGERS = {
    "traceback": says(exc_info=ValueError(FORGED)),
    "event": says(event=FORGED),
    "value": says(reason=FORGED),
    "exception": says(exception=FORGED),
    "stack": says(stack=FORGED),
}


@pytest.mark.parametrize("line", FORGERS.values(), ids=FORGERS)
def test_no_line_can_be_forged(capfd: pytest.CaptureFixture[str], line: Callable[[], object]) -> None:
    """What belongs to a line and begins one is indented."""
    logs.configure(Settings(log_format="console"))
    line()
    first, *others = written(capfd).splitlines()
    assert "forged" in first or any("forged" in other for other in others)
    assert all(other.startswith("    ") for other in others)


@pytest.mark.parametrize("form", ["console", "json"])
def test_a_traceback_is_bounded(capfd: pytest.CaptureFixture[str], form: Any) -> None:
    """A message of megabytes takes no more of the log than a page, and it is said that there was more."""
    logs.configure(Settings(log_format=form))
    says(exc_info=ValueError("x" * 1_000_000))()
    assert "characters in all" in (text := written(capfd))
    assert len(text) < 2 * logs.TRACEBACK_LENGTH


@pytest.mark.parametrize("form", ["console", "json"])
@pytest.mark.parametrize("facts", [{"exc_info": UnprintableError()}, {"value": Silent()}], ids=["error", "value"])
def test_what_cannot_be_printed_is_named(capfd: pytest.CaptureFixture[str], form: Any, facts: dict[str, Any]) -> None:
    """A line that says so is better than none."""
    logs.configure(Settings(log_format=form))
    says(**facts)()
    text = written(capfd)
    assert "Silent" in text or "UnprintableError" in text
