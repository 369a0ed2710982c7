"""When a job fires. Pure: this room knows no job, no store and no HTTP, and it reads no clock.

Other rooms import from here only. Inside, each module builds on those before it:

1. `text`: moments, durations and names of time zones as people write them.
2. `civil`: days and times of day without a zone. `zones`: offsets, and what happens when the clocks change.
3. `series`: moments that rise, known by arithmetic alone.
4. `rules`: the ways to repeat, one file each; `RULES` is the table of them. `words`: the words they say themselves in.
5. `trigger`: a rule with its start, its bounds and its terms.
6. `stored`: a trigger to and from the JSON of a store. `wire`: `schedule` as it is sent, with all its problems.
7. `calendars`: named sets of times that a schedule leaves out or keeps to.
8. `misfire`: what becomes of occurrences that could not start in time. `occurrence`: the next one, all taken together.
9. `preview`: what a schedule will do. `backfill`: a past range run afterwards. `english`: a trigger described.
"""

from mainspring.schedule.backfill import (
    WANTED_SCHEMA,
    Backfill,
    Backfilled,
)
from mainspring.schedule.calendars import (
    CALENDAR_SCHEMA,
    Calendar,
    Calendars,
    HolidaysError,
    calendar_from_json,
    calendar_to_json,
    without_unknown,
)
from mainspring.schedule.english import (
    describe,
)
from mainspring.schedule.misfire import (
    Fate,
    Unrun,
)
from mainspring.schedule.occurrence import (
    Planned,
    beginning,
    following,
    opening,
    overdue,
    put_off,
)
from mainspring.schedule.preview import (
    Forecast,
    Outage,
    Start,
    forecast,
    preview,
)
from mainspring.schedule.rules import (
    AnyOf,
    At,
    Cron,
    Every,
    RRule,
)
from mainspring.schedule.rules.cron import (
    compile_cron,
)
from mainspring.schedule.stored import (
    trigger_from_json,
    trigger_to_json,
)
from mainspring.schedule.text import (
    EARLIEST,
    HORIZON,
    LATEST,
    MICROSECOND,
    ON_THE_WIRE,
    Duration,
    Period,
    TimeError,
    When,
    check_range,
    check_zone,
    format_duration,
    format_time,
    parse_duration,
    parse_when,
    range_problems,
    zone_rules,
)
from mainspring.schedule.trigger import (
    CALENDAR_NAME,
    Once,
    Overlap,
    Recurring,
    Trigger,
    realigned,
)
from mainspring.schedule.wire import (
    KINDS,
    Schedule,
    depends_on_id,
    kind_problems,
    read_otherwise,
    schedule_problems,
    schedule_warnings,
    to_trigger,
    too_far,
    too_old,
)
from mainspring.schedule.zones import (
    DstGap,
    DstOverlap,
    has_change,
)

__all__ = [
    "CALENDAR_NAME",
    "CALENDAR_SCHEMA",
    "EARLIEST",
    "HORIZON",
    "KINDS",
    "LATEST",
    "MICROSECOND",
    "ON_THE_WIRE",
    "WANTED_SCHEMA",
    "AnyOf",
    "At",
    "Backfill",
    "Backfilled",
    "Calendar",
    "Calendars",
    "Cron",
    "DstGap",
    "DstOverlap",
    "Duration",
    "Every",
    "Fate",
    "Forecast",
    "HolidaysError",
    "Once",
    "Outage",
    "Overlap",
    "Period",
    "Planned",
    "RRule",
    "Recurring",
    "Schedule",
    "Start",
    "TimeError",
    "Trigger",
    "Unrun",
    "When",
    "beginning",
    "calendar_from_json",
    "calendar_to_json",
    "check_range",
    "check_zone",
    "compile_cron",
    "depends_on_id",
    "describe",
    "following",
    "forecast",
    "format_duration",
    "format_time",
    "has_change",
    "kind_problems",
    "opening",
    "overdue",
    "parse_duration",
    "parse_when",
    "preview",
    "put_off",
    "range_problems",
    "read_otherwise",
    "realigned",
    "schedule_problems",
    "schedule_warnings",
    "to_trigger",
    "too_far",
    "too_old",
    "trigger_from_json",
    "trigger_to_json",
    "without_unknown",
    "zone_rules",
]
