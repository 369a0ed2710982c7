"""What other schedulers have, read and said in the words of Mainspring. Pure: text in, values out.

1. `crontab`: a crontab, line by line, as cron reads it.
2. `cron_fields`: the five fields of a line, and the same in our dialect.
3. `cron_jobs`: what a line becomes: a command, a schedule, a name.
4. `settings_file`: the text of a file with settings.
5. `differences`: where Mainspring does something else than cron would.
"""

from mainspring.service.imports.cron_jobs import CronJob, Plan, plan
from mainspring.service.imports.crontab import (
    MOST_BYTES,
    Crontab,
    CrontabError,
    Refusal,
    guess_user_field,
    read_crontab,
)
from mainspring.service.imports.differences import differences
from mainspring.service.imports.settings_file import settings_file

__all__ = [
    "MOST_BYTES",
    "CronJob",
    "Crontab",
    "CrontabError",
    "Plan",
    "Refusal",
    "differences",
    "guess_user_field",
    "plan",
    "read_crontab",
    "settings_file",
]
