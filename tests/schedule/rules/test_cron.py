from datetime import UTC, date, datetime, timedelta
from itertools import islice
from time import thread_time
from uuid import UUID

import pytest

from mainspring.schedule import Every, Period, Recurring, TimeError
from mainspring.schedule.rules import AnyOf, Cron
from mainspring.schedule.rules.cron import FIELDS, LONGEST_EXPRESSION, compile_cron, has_hash, settle
from tests.schedules import check_cron, cron_expressions

START = datetime(2026, 1, 1, tzinfo=UTC)
JOB = UUID("019e830e-1a00-70a5-abaa-9455e3e70682")


WHOLE_WEEK = "Su Mo Tu We Th Fr Sa"


def first(expression: str, number: int = 3, start: datetime = START) -> list[str]:
    """Write the first fire times in UTC."""
    times = Recurring(Cron(expression), start).fire_times(start, start + timedelta(days=4000))
    return [f"{moment:%Y-%m-%d %H:%M:%S}".removesuffix(":00") for moment in islice(times, number)]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("0 3 * * *", ["2026-01-01 03:00", "2026-01-02 03:00", "2026-01-03 03:00"]),
        ("*/20 * * * *", ["2026-01-01 00:00", "2026-01-01 00:20", "2026-01-01 00:40"]),
        ("7/25 * * * *", ["2026-01-01 00:07", "2026-01-01 00:32", "2026-01-01 00:57"]),
        ("30 10-12/2 * * *", ["2026-01-01 10:30", "2026-01-01 12:30", "2026-01-02 10:30"]),
        ("\t0  3   * *\t* ", ["2026-01-01 03:00", "2026-01-02 03:00", "2026-01-03 03:00"]),
        # six fields: the seconds come first
        ("15 0 3 * * *", ["2026-01-01 03:00:15", "2026-01-02 03:00:15", "2026-01-03 03:00:15"]),
        ("*/30 * * * * *", ["2026-01-01 00:00", "2026-01-01 00:00:30", "2026-01-01 00:01"]),
        # a step as large as its field: once
        ("*/60 * * * *", ["2026-01-01 00:00", "2026-01-01 01:00", "2026-01-01 02:00"]),
        ("30/60 * * * *", ["2026-01-01 00:30", "2026-01-01 01:30", "2026-01-01 02:30"]),
        ("*/60 * * * * *", ["2026-01-01 00:00", "2026-01-01 00:01", "2026-01-01 00:02"]),
        ("0 */24 * * *", ["2026-01-01 00:00", "2026-01-02 00:00", "2026-01-03 00:00"]),
        ("0 0 */31 * *", ["2026-01-01 00:00", "2026-02-01 00:00", "2026-03-01 00:00"]),
        ("0 0 1 */12 *", ["2026-01-01 00:00", "2027-01-01 00:00", "2028-01-01 00:00"]),
        ("0 0 1 3/12 *", ["2026-03-01 00:00", "2027-03-01 00:00", "2028-03-01 00:00"]),
        ("0 0 * * */7", ["2026-01-04 00:00", "2026-01-11 00:00", "2026-01-18 00:00"]),
        ("0 0 * * 5/7", ["2026-01-02 00:00", "2026-01-09 00:00", "2026-01-16 00:00"]),
        ("H/60 H/24 * * *", ["2026-01-01 00:00", "2026-01-02 00:00", "2026-01-03 00:00"]),
        # names, in any case
        ("0 0 * * fri", ["2026-01-02 00:00", "2026-01-09 00:00", "2026-01-16 00:00"]),
        ("0 0 * * MON-WED", ["2026-01-05 00:00", "2026-01-06 00:00", "2026-01-07 00:00"]),
        ("0 0 * * FRI-SUN", ["2026-01-02 00:00", "2026-01-03 00:00", "2026-01-04 00:00"]),
        ("0 0 1 mar,Sep *", ["2026-03-01 00:00", "2026-09-01 00:00", "2027-03-01 00:00"]),
        # Sunday is 0 and 7
        ("0 0 * * 0", ["2026-01-04 00:00", "2026-01-11 00:00", "2026-01-18 00:00"]),
        ("0 0 * * 7", ["2026-01-04 00:00", "2026-01-11 00:00", "2026-01-18 00:00"]),
        ("0 0 * * SUN-SUN", ["2026-01-04 00:00", "2026-01-11 00:00", "2026-01-18 00:00"]),
        ("0 0 * * MON-MON", ["2026-01-05 00:00", "2026-01-12 00:00", "2026-01-19 00:00"]),
        ("0 0 * * 3/3", ["2026-01-03 00:00", "2026-01-07 00:00", "2026-01-10 00:00"]),
        ("0 0 * * 1/3", ["2026-01-01 00:00", "2026-01-05 00:00", "2026-01-08 00:00"]),
        ("0 0 * * 1-7/3", ["2026-01-01 00:00", "2026-01-04 00:00", "2026-01-05 00:00"]),
        ("0 0 * * 5-7", ["2026-01-02 00:00", "2026-01-03 00:00", "2026-01-04 00:00"]),
        # two restricted fields for days: either
        ("0 0 13 * FRI", ["2026-01-02 00:00", "2026-01-09 00:00", "2026-01-13 00:00"]),
        # one that begins with a star: both
        ("0 0 */2 * FRI", ["2026-01-09 00:00", "2026-01-23 00:00", "2026-02-13 00:00"]),
        ("0 0 13 * ?", ["2026-01-13 00:00", "2026-02-13 00:00", "2026-03-13 00:00"]),
        ("0 0 ? * 1", ["2026-01-05 00:00", "2026-01-12 00:00", "2026-01-19 00:00"]),
        # the last day, and days before it
        ("0 0 L * *", ["2026-01-31 00:00", "2026-02-28 00:00", "2026-03-31 00:00"]),
        ("0 0 L-2 * *", ["2026-01-29 00:00", "2026-02-26 00:00", "2026-03-29 00:00"]),
        ("0 0 1,L * *", ["2026-01-01 00:00", "2026-01-31 00:00", "2026-02-01 00:00"]),
        ("0 0 L 2 *", ["2026-02-28 00:00", "2027-02-28 00:00", "2028-02-29 00:00"]),
        # the n-th and the last of a weekday
        ("0 0 * * FRI#2", ["2026-01-09 00:00", "2026-02-13 00:00", "2026-03-13 00:00"]),
        ("0 0 * * 5#5", ["2026-01-30 00:00", "2026-05-29 00:00", "2026-07-31 00:00"]),
        ("0 0 * * 5L", ["2026-01-30 00:00", "2026-02-27 00:00", "2026-03-27 00:00"]),
        ("0 0 * * SUNL", ["2026-01-25 00:00", "2026-02-22 00:00", "2026-03-29 00:00"]),
        ("0 0 * * 1,5L", ["2026-01-05 00:00", "2026-01-12 00:00", "2026-01-19 00:00"]),
        # shorthands
        ("@daily", ["2026-01-01 00:00", "2026-01-02 00:00", "2026-01-03 00:00"]),
        ("@Midnight", ["2026-01-01 00:00", "2026-01-02 00:00", "2026-01-03 00:00"]),
        ("@hourly", ["2026-01-01 00:00", "2026-01-01 01:00", "2026-01-01 02:00"]),
        ("@weekly", ["2026-01-04 00:00", "2026-01-11 00:00", "2026-01-18 00:00"]),
        ("@monthly", ["2026-01-01 00:00", "2026-02-01 00:00", "2026-03-01 00:00"]),
        ("@yearly", ["2026-01-01 00:00", "2027-01-01 00:00", "2028-01-01 00:00"]),
        ("@annually", ["2026-01-01 00:00", "2027-01-01 00:00", "2028-01-01 00:00"]),
        ("0 0 29 2 *", ["2028-02-29 00:00", "2032-02-29 00:00", "2036-02-29 00:00"]),
    ],
)
def test_cron(expression: str, expected: list[str]) -> None:
    """Each form names the times that people take it for."""
    assert expected == first(expression)


# --- the day of week: Sunday is the first day, 0, and as the end of a range also the day after Saturday, 7

NAMES = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")


def week(term: str) -> str:
    """Name the days of the week that a field names, from Sunday on."""
    days = compile_cron(f"0 0 * * {term}").days(2026)
    return " ".join(NAMES[day].title()[:2] for day in range(7) if any(each % 7 == day for each in days))


@pytest.mark.parametrize(
    ("terms", "expected"),
    [
        (("0", "7", "SUN", "0,7", "0-0", "7-7", "SUN-SUN", "SUN-0", "0-SUN", "7-SUN", "*/7", "0/7", "7/7"), "Su"),
        (("6", "SAT", "SAT-SAT", "6-6", "6/1", "SAT/3", "6-6/2"), "Sa"),
        (("*", "?", "*/1", "0-6", "0-7", "1-7", "SUN-SAT", "MON-SUN", "1-SUN", "0/1", "7/1", "SUN/1"), WHOLE_WEEK),
        (("5-7", "FRI-SUN", "FRI-7", "5-SUN", "5,6,0", "0,FRI-SAT"), "Su Fr Sa"),
        (("6-7", "SAT-SUN", "6,7", "SUN,SAT"), "Su Sa"),
        (("1/3", "MON/3", "1-6/3", "1,4"), "Mo Th"),
        (("1-7/3", "MON-SUN/3", "MON-7/3"), "Su Mo Th"),
        (("3/1", "WED/1", "3-6", "WED-SAT"), "We Th Fr Sa"),
        (("3/2", "WED/2", "3,5"), "We Fr"),
        (("3-7/2", "WED-SUN/2"), "Su We Fr"),
        (("*/2", "0/2", "SUN/2", "7/2", "0-6/2", "0-7/2", "SUN-SAT/2"), "Su Tu Th Sa"),
        (("*/3", "0/3", "7/3", "SUN/3"), "Su We Sa"),
        (("1/6", "MON/6", "5/7", "FRI/4"), None),
    ],
)
def test_days_of_the_week(terms: tuple[str, ...], expected: str | None) -> None:
    """Names and numbers mean the same, and no step goes on to another Sunday unless its range ends with it."""
    named = {"1/6": "Mo", "MON/6": "Mo", "5/7": "Fr", "FRI/4": "Fr"}
    assert {term: expected or named[term] for term in terms} == {term: week(term) for term in terms}


@pytest.mark.parametrize("first", range(8))
def test_no_step_reaches_back_over_its_first_day(first: int) -> None:
    """A step from a value ends with Saturday, by number and by name; a range of one day is that day."""
    for step in range(1, 8):
        days = " ".join(name.title()[:2] for name in NAMES[first % 7 : 7 : step])
        assert days == week(f"{first}/{step}") == week(f"{NAMES[first]}/{step}")
    for last in (first, NAMES[first]):
        assert NAMES[first].title()[:2] == week(f"{first}-{last}") == week(f"{NAMES[first]}-{last}")


def test_the_place_of_a_day_of_the_week() -> None:
    """A Sunday may be 0, 7 or SUN there too."""
    for place in ("#1", "#5", "L"):
        times = {tuple(first(f"0 0 * * {sunday}{place}")) for sunday in ("0", "7", "SUN")}
        assert 1 == len(times)


@pytest.mark.parametrize(
    "expression",
    [
        "",
        " ",
        "*",
        "* * * *",
        "* * * * * * *",
        "* * * * * * * *",
        "60 * * * *",
        "* 24 * * *",
        "* * 0 * *",
        "* * 32 * *",
        "* * * 0 *",
        "* * * 13 *",
        "* * * * 8",
        "-1 * * * *",
        "1.5 * * * *",
        "5-1 * * * *",
        "* 22-2 * * *",
        "*/0 * * * *",
        "*/61 * * * *",
        "*/90 * * * *",
        "0 */25 * * *",
        "0 0 */32 * *",
        "0 0 1/32 * *",
        "0 0 1 */13 *",
        "0 0 * * */8",
        "0 0 * * 1/8",
        "H/61 * * * *",
        "*/-5 * * * *",
        "*-5 * * * *",
        "1,,2 * * * *",
        ",1 * * * *",
        "1, * * * *",
        "1- * * * *",
        "/5 * * * *",
        "1/ * * * *",
        "? * * * *",
        "* ? * * *",
        "* * * ? *",
        "L * * * *",
        "* * * * L",
        "* * 15W * *",
        "* * LW * *",
        "* * L-31 * *",
        "* * * * 5#0",
        "* * * * 5#6",
        "* * * * #2",
        "* * * * 5#",
        "* * * * FRI#2L",
        "* * MON * *",
        "* * * FRI *",
        "* * * * MONDAY",
        "L W #",
        "L W # * *",
        "@",
        "@reboot",
        "@every 5m",
        "@daily 5",
        "H(5-1) * * * *",
        "H(0-60) * * * *",
        "H(0-29)/31 * * * *",
        "H/0 * * * *",
        "HH * * * *",
        "H() * * * *",
        "\N{ARABIC-INDIC DIGIT FIVE} * * * *",
        "\N{FULLWIDTH DIGIT FIVE} * * * *",
        "5\0 * * * *",
        "5 * * *\n*",
        "\ud800 * * * *",
        pytest.param("*" * 10_240, id="10 KiB of stars"),
        pytest.param("* " * 5_120, id="10 KiB of fields"),
        pytest.param(",".join(["1"] * 5_000) + " * * * *", id="10 KiB of numbers"),
        pytest.param("9" * 200 + " * * * *", id="200 digits"),
    ],
)
def test_cron_refuses(expression: str) -> None:
    """What is no expression is refused whole, in words and at once; nothing is guessed."""
    begun = thread_time()
    with pytest.raises(TimeError) as caught:
        compile_cron(expression)
    assert thread_time() - begun < 0.05
    assert "INVALID_CRON" == caught.value.code
    assert 0 < len(str(caught.value)) < 120


@pytest.mark.parametrize(
    ("expression", "hint"),
    [
        ("60 * * * *", "'60' as its minute, which is 0 to 59"),
        ("1-60 * * * *", "'60' as its minute, which is 0 to 59"),
        ("0 30 * * *", "'30' as its hour, which is 0 to 23"),
        ("0 0 1 JANUARY *", "'JANUARY' as its month, which is 1 to 12, a range"),
        ("1, * * * *", "a comma without a value beside it in its minute"),
        ("0 22, 10 * * *", "a comma without a value"),
        ("0 /2 * * *", "with a step as in */2"),
        ("*/90 * * * *", "every, such as PT90M"),
        ("H/90 * * * *", "every, such as PT90M"),
        ("0 22-6 * * *", "over the end goes 22-23,0-6"),
        ("0 0 * * FRI-TUE", "over the end goes 5-7,1-2"),
        ("0 0 * * FRI-0", "over the end goes 5-7"),
        ("0 0 * * 7-2", "over the end goes 0-2"),
        ("0 0 1 NOV-FEB *", "over the end goes 11-12,1-2"),
        ("CRON_TZ=Europe/Berlin 0 3 * * *", "timeZone"),
        ("TZ=UTC 0 3 * * *", "timeZone"),
        ("@every 5m", "the member every"),
        ("@reboot", "must be one of @yearly"),
        ("* * LW * *", "the rrule FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1"),
        ("* * 15W * *", "W, the nearest weekday, is not supported"),
        ("0 15 10 * * L", "Saturday is 6"),
        ("45 * * ? *", "* is any value"),
        ("0 15 10 * * ? *", "ends with a year, which must be left out"),
        ("0 15 10 * * ? 2005", "start and end bound the years"),
        ("* * * * * 2013,2014", "start and end bound the years"),
    ],
)
def test_cron_says_what_to_write_instead(expression: str, hint: str) -> None:
    """What is refused is named as it stands there, with what it may be or what says it here."""
    with pytest.raises(TimeError) as caught:
        compile_cron(expression)
    assert hint in str(caught.value)


def test_the_longest_expression_is_read_at_once() -> None:
    """An expression at the limit is read in a few milliseconds, however much it names."""
    expression = ",".join(["0-59"] * 48) + " * * * * *"
    assert len(expression) <= LONGEST_EXPRESSION
    begun = thread_time()
    rule = compile_cron(expression)
    assert thread_time() - begun < 0.05
    assert 86_400 == len(rule.clock)


@pytest.mark.parametrize(
    ("expression", "crowded"),
    [
        ("* * * * * *", True),
        ("0,1 0 3 * * *", True),
        ("0,59 * * * * *", True),
        ("0,59 0 * * * *", False),
        ("0,59 0,59 * * * *", True),
        ("0,59 0,59 3 * * *", False),
        ("0,59 0,59 0,23 * * *", True),
        ("*/2 * * * * *", False),
        ("* * * * *", False),
    ],
)
def test_crowded(expression: str, crowded: bool) -> None:  # noqa: FBT001 - an example's answer
    """Two fire times may not be a second apart, also over the end of a minute, an hour or a day."""
    assert crowded is compile_cron(expression).clock.crowded


# --- H


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("H H * * *", {"0 0 * * *", "59 11 * * *"}),
        ("H/15 H(2-5) * * *", {"0-59/15 2 * * *", "14-59/15 5 * * *"}),
        ("H(10-19)/5 * H * H", {"10-19/5 * 1 * 0", "14-19/5 * 28 * 6"}),
        ("H H * H *", {"0 0 * 1 *", "59 11 * 12 *"}),
        ("5 4 * THU,MAR *", {"5 4 * THU,MAR *"}),
        ("@monthly", {"@monthly"}),
    ],
)
def test_settle(expression: str, expected: set[str]) -> None:
    """An H becomes a value that fits its field, and keeps its step; names are left alone."""
    settled = {settle(expression, {field.name: chance for field in FIELDS}.__getitem__) for chance in range(27_720)}
    assert expected <= settled
    assert ("H" in expression.replace("THU", "")) is has_hash(expression) or expression == "@monthly"


def test_settled_expressions_are_understood() -> None:
    """Whatever the chance, what comes out has no H and is read."""
    for chance in range(200):
        for expression in ("H H H H H", "H/7 H(0-12)/5 H(1-9) */2 H(1-5)", "H H H H H H"):
            settled = settle(expression, {field.name: chance for field in FIELDS}.__getitem__)
            assert not has_hash(settled)
            assert compile_cron(settled).days(2028)


def test_h_is_the_jobs_own() -> None:
    """The same job has the same times for ever, another job others; all of an hour is used."""
    trigger = Recurring(Cron("H H * * *"), START)
    assert trigger.for_job(JOB) == trigger.for_job(JOB)
    jobs = [UUID(int=JOB.int + n) for n in range(600)]
    rules = {str(trigger.for_job(job).rule) for job in jobs}
    assert len(rules) > 450
    minutes = {trigger.for_job(job).first.minute for job in jobs}
    assert 60 == len(minutes)


def test_h_in_combined_rules() -> None:
    """Each of several rules gets its numbers, and what has no H stays as it is."""
    rule = AnyOf((Cron("H 3 * * *"), Cron("0 4 * * *"), Every(Period(days=1))))
    settled = Recurring(rule, START).for_job(JOB).rule
    assert isinstance(settled, AnyOf)
    assert rule.rules[1:] == settled.rules[1:]
    assert isinstance(settled.rules[0], Cron)
    assert not has_hash(settled.rules[0].expression)


# --- against others


def test_cron_is_what_others_take_it_for() -> None:
    """Over two years a hundred drawn expressions fire when croniter and cronsim say, up to 100 times each."""
    end = START + timedelta(days=731)
    numbers = [check_cron(expression, START, end, 100) for expression in cron_expressions(7, 100)]
    assert sum(numbers) > 6_000


def test_days_are_rising_and_of_their_year() -> None:
    """For any year and any drawn expression the days are in order and lie in that year."""
    for expression in cron_expressions(8, 50):
        for year in (2023, 2024, 2100):
            days = compile_cron(expression).days(year)
            assert sorted(set(days)) == list(days)
            assert {year} >= {date.fromordinal(day).year for day in days}
