"""Where Mainspring does something else than cron would with the same lines, in sentences for an operator. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from mainspring.schedule import has_change
from mainspring.service.imports.cron_jobs import CronJob, Plan
from mainspring.service.imports.crontab import LONGEST_COMMAND, Crontab, Variable
from mainspring.service.imports.settings_file import TIME_LIMIT

_IGNORED = {"LOGNAME", "USER"}


def differences(crontab: Crontab, made: Plan) -> list[str]:
    """Return what differs, each as one or two sentences. Nothing is said twice."""
    said = [*_of_the_file(crontab), *_of_variables(crontab, made.jobs), *_of_lines(made.jobs)]
    return [*said, *_of_all(crontab, made.jobs)] if made.jobs else said


def _of_the_file(crontab: Crontab) -> Iterator[str]:
    if crontab.byte_order_mark:
        yield "The file begins with a byte order mark, at which cron stumbles. It was left out."
    if crontab.carriage_returns:
        yield (
            f"{_count(crontab.carriage_returns, 'line')} as Windows has it: cron gives the carriage return to the "
            "command. It was left out."
        )
    if crontab.unended is not None:
        yield f"Line {crontab.unended}, the last, has no newline. Cron ignores such a line; here it was read."
    if crontab.reboots:
        yield (
            f"{_lines(reboot.number for reboot in crontab.reboots)}: @reboot has no times. Mainspring starts nothing "
            "when a machine starts: let the service manager do that, as with a unit of systemd."
        )


def _of_variables(crontab: Crontab, jobs: list[CronJob]) -> Iterator[str]:
    variables = crontab.variables
    yield from _mail(_named(variables, "MAILTO", "MAILFROM"), bool(jobs))
    if ignored := _named(variables, *_IGNORED):
        yield f"{_lines(ignored)}: cron sets LOGNAME and USER itself and ignores these lines; they were left out."
    if delays := _named(variables, "RANDOM_DELAY"):
        yield (
            f"{_lines(delays)}: cronie delays the jobs by up to RANDOM_DELAY minutes. Mainspring does not: add "
            'jitter = "PT45M" to a schedule for that.'
        )
    if expanded := [number for number, _, value in variables if "$" in value]:
        yield f"{_lines(expanded)}: a $ in the value of a variable stands for itself, in cron and in Mainspring."
    if commented := [number for number, _, value in variables if " #" in value]:
        yield (
            f"{_lines(commented)}: what looks like a comment behind the value belongs to it, in cron and here. "
            "Remove it if it is none."
        )


def _mail(mailto: list[int], runs: bool) -> Iterator[str]:  # noqa: FBT001 - one of the two facts that it is about
    if not (mailto or runs):
        return
    place = f"{_lines(mailto)}: " if mailto else ""
    effect = " MAILTO stays in the environment, and has no other effect." if mailto else ""
    yield f"{place}Mainspring sends no mail. What a command prints is kept with its run.{effect}"


def _of_lines(jobs: list[CronJob]) -> Iterator[str]:
    if random := _numbers(job for job in jobs if job.entry.times.random):
        yield (
            f"{_lines(random)}: cron chooses the value of a ~ each time that it reads the file. Mainspring chooses it "
            "once for each job, by H, and keeps to it."
        )
    for job in jobs:
        if job.entry.times.rewritten and not job.entry.times.random:
            yield (
                f"Line {job.entry.number}: {job.entry.times.written} is written {job.entry.times.expression}, which "
                "are the times at which cron runs it. Look whether they are meant."
            )
    if quiet := _numbers(job for job in jobs if job.entry.quiet):
        yield f"{_lines(quiet)}: a - keeps cronie from logging the run. Mainspring logs every run."
    if long := _numbers(job for job in jobs if len(job.entry.command.encode()) > LONGEST_COMMAND):
        yield (
            f"{_lines(long)}: the command has more than {LONGEST_COMMAND} bytes, more than the cron of Debian reads. "
            "It was imported as a whole."
        )
    yield from _of_zones(jobs)


def _of_zones(jobs: list[CronJob]) -> Iterator[str]:
    if by_tz := [job for job in jobs if job.zone_of == "TZ"]:
        yield (
            f"{_lines(_numbers(by_tz))}: the times were read in the zone that TZ names, {by_tz[0].trigger.time_zone}. "
            "The cron of Debian and cronie give TZ to the command only and go by the zone of the machine: "
            "say that with --time-zone if it is another."
        )
    if by_cron_tz := [job for job in jobs if job.zone_of == "CRON_TZ"]:
        yield (
            f"{_lines(_numbers(by_cron_tz))}: the times were read in the zone that CRON_TZ names. Cronie does so, but "
            "when the clocks of that zone change it may miss a line or run it twice, which Mainspring does not. "
            "The cron of Debian does not know CRON_TZ."
        )
    changing = [job for job in jobs if has_change(job.trigger.time_zone, job.trigger.start)]
    if several := [job for job in changing if job.entry.times.several and not job.entry.times.follows_clock]:
        yield (
            f"{_lines(_numbers(several))}: when the clocks skip several times of a line, cron runs it once for each of "
            "them, one right after the other. Mainspring runs it once for all of them."
        )
    if set_here := [job for job in changing if job.sets_dst]:
        yield (
            f"{_lines(_numbers(set_here))}: dstGap and dstOverlap are set, so that a change of the clocks does what "
            "it does in cron."
        )


def _of_all(crontab: Crontab, jobs: list[CronJob]) -> Iterator[str]:
    users = sorted({job.entry.user for job in jobs if job.entry.user})
    if users:
        yield (f"Cron ran these lines as {', '.join(users)}. Mainspring runs every command as the user of its node.")
    elif not crontab.user_field:
        yield "Cron ran these lines as the owner of the crontab. Mainspring runs them as the user of its node."
    if homeless := _numbers(job for job in jobs if job.working_directory is None):
        yield (
            f"{_lines(homeless)}: without HOME in the crontab cron begins in the home directory of the user. Add "
            "working_directory where the command needs that."
        )
    if pathless := _numbers(job for job in jobs if "PATH" not in job.entry.variables):
        yield f"{_lines(pathless)}: the crontab sets no PATH, so the one that cron would give is written."
    yield (
        "Cron starts a run while the one before still goes on. Mainspring starts it when that has ended: add "
        'overlap = "allow" to a schedule for what cron does.'
    )
    yield (
        "Cron forgets what it could not run while it was down. Mainspring runs it once, late: add "
        'misfire = "skip" to a schedule for what cron does.'
    )
    yield (
        "Cron does not look at the exit code. In Mainspring a run whose command ends with another code than 0 has "
        "failed, and is tried again as its job group says."
    )
    yield f"Cron lets a command run for ever. Here it has a time limit, time_limit = {TIME_LIMIT!r}: change it at will."


# --- words ------------------------------------------------------------------------------------------------------------


def _named(variables: Iterable[Variable], *names: str) -> list[int]:
    return [variable.number for variable in variables if variable.name in names]


def _numbers(jobs: Iterable[CronJob]) -> list[int]:
    return [job.entry.number for job in jobs]


def _count(number: int, thing: str) -> str:
    return f"1 {thing} ends" if number == 1 else f"{number} {thing}s end"


_MOST_LINES = 10


def _lines(numbers: Iterable[int]) -> str:
    """Name lines by their numbers; of many the first ones."""
    every = list(numbers)
    first = ", ".join(map(str, every[:_MOST_LINES]))
    more = f" and {len(every) - _MOST_LINES} more" if len(every) > _MOST_LINES else ""
    return f"{'Line' if len(every) == 1 else 'Lines'} {first}{more}"
