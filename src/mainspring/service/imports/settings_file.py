"""The text of a file with settings: the jobs of a crontab as TOML, each below its line of the crontab. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from mainspring.service.imports.cron_jobs import CronJob, Plan
from mainspring.service.imports.crontab import Crontab, Reboot

TIME_LIMIT = "PT24H"
"""How long a command may run; cron knows no limit."""
_BARE = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)
_WIDEST = 200
"""How many characters of a line of the crontab a comment repeats."""


def settings_file(crontab: Crontab, made: Plan, *, product: str, source: str) -> str:
    """Write the jobs of a crontab for an operator to read and install; `source` names the crontab."""
    head = [
        f"# The jobs of {_comment(source)}. Read them, change what is to be other, and add them to mainspring.toml.",
        f"# Lines of the crontab: {crontab.lines}, jobs: {len(made.jobs)}.",
    ]
    blocks = [(job.entry.number, _job(job, product, source)) for job in made.jobs]
    blocks += [(reboot.number, _reboot(reboot, source)) for reboot in crontab.reboots]
    blocks += [
        (number, [f"# {_comment(f'{source}:{number}')} was not imported: it {_comment(problem)}"])
        for number, problem, _ in made.refusals
    ]
    return "\n\n".join("\n".join(lines) for lines in (head, *(lines for _, lines in sorted(blocks)))) + "\n"


def _job(job: CronJob, product: str, source: str) -> list[str]:
    entry = job.entry
    lines = [f"# {_comment(f'{source}:{entry.number}: {entry.text.strip()}')}"]
    if entry.user:
        lines.append(f"# cron ran it as the user {_comment(entry.user)}")
    lines += [
        "[[command_jobs]]",
        f"product = {_string(product)}",
        f"job_group = {_string(job.name)}",
        f"command = [{', '.join(map(_string, job.command))}]",
        f"environment = {_table(job.environment)}",
    ]
    if job.working_directory is not None:
        lines.append(f"working_directory = {_string(job.working_directory)}")
    if entry.stdin is not None:
        lines.append(f"stdin = {_string(entry.stdin)}")
    return [
        *lines,
        f"time_limit = {_string(TIME_LIMIT)}",
        "",
        "[[jobs]]",
        f"name = {_string(job.name)}",
        f"product = {_string(product)}",
        f"job_group = {_string(job.name)}",
        f"schedule = {_table(job.schedule)}",
    ]


def _reboot(reboot: Reboot, source: str) -> list[str]:
    return [
        f"# {_comment(f'{source}:{reboot.number}: {reboot.text.strip()}')}",
        "# @reboot has no times, so it is no job. Let the service manager of the machine start it.",
    ]


def _table(members: Mapping[str, str]) -> str:
    return f"{{ {', '.join(f'{_key(name)} = {_string(value)}' for name, value in members.items())} }}"


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else _string(name)


def _string(text: str) -> str:
    """Write a basic string: the escapes of JSON, and the longer one of TOML. None controls a terminal."""
    shown = json.dumps(text, ensure_ascii=False)
    return "".join(
        c if c.isprintable() else f"\\u{ord(c):04X}" if ord(c) < 1 << 16 else f"\\U{ord(c):08X}" for c in shown
    )


def _comment(text: str) -> str:
    """Return text that can stand in a comment: on one line, without control characters, and not endless."""
    shown = "".join(c if c.isprintable() or c == "\t" else "\N{REPLACEMENT CHARACTER}" for c in text)
    return shown if len(shown) <= _WIDEST else f"{shown[: _WIDEST - 1]}…"
