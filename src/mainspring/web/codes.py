"""The codes of errors: the one table that answers, their pages and the OpenAPI document go by.

Codes that are not in here are those of types and of the validations of a job group: their names are not ours.
"""

from __future__ import annotations

from dataclasses import dataclass

PATH = "/problems"
"""Below it the service says what each code means."""

TITLES = {
    400: "Malformed request",
    403: "Forbidden",
    404: "Not found",
    405: "Method not allowed",
    406: "Not acceptable",
    408: "Request timeout",
    409: "Conflict",
    410: "Gone",
    412: "Precondition failed",
    413: "Body too large",
    414: "URL too long",
    415: "Unsupported media type",
    417: "Expectation failed",
    421: "Misdirected request",
    422: "Invalid request",
    429: "Quota exceeded",
    431: "Head too large",
    500: "Internal error",
    503: "Service unavailable",
}
ANY = 0
"""The status of a code that comes with several."""
OTHER = "VALIDATION_ERROR"
"""Stands for codes that are not in the table."""


@dataclass(frozen=True, slots=True)
class Code:
    """What is known of an error by its code."""

    name: str
    status: int
    means: str
    """With names in backticks."""

    @property
    def title(self) -> str:
        """What its status says in two or three words."""
        return TITLES.get(self.status, "Error")

    @property
    def slug(self) -> str:
        """Its name in a path."""
        return self.name.lower().replace("_", "-")

    @property
    def is_retryable(self) -> bool:
        """Whether the same call may succeed later; of quotas each answer says so itself."""
        return self.status in {408, 429, 503} or self.name in _AGAIN

    @property
    def advice(self) -> str:
        """What to do."""
        return _ADVICE.get(self.name) or _ADVICE_BY_STATUS[self.status]


_AGAIN = frozenset({"CONFLICT", "RECEIPT_TAKEN", "IDEMPOTENCY_IN_FLIGHT"})
"""What may be gone when the call is sent again."""
_ADVICE = {
    "CONFLICT": "Send the same call again.",
    "RECEIPT_TAKEN": "Send the same call again, with the same key.",
    "IDEMPOTENCY_IN_FLIGHT": "Send the same call again, with the same key, when the first one has ended.",
    "IDEMPOTENCY_MISMATCH": "Use a key of its own for each call.",
    "JOB_RUNNING": "Wait for the end of the run, or cancel it; `run` is its number.",
    "JOB_FINISHED": "Create another job; retry one that is dead.",
    "JOB_UNREADABLE": "Patch the job with what it should be, or delete it.",
    "CALENDAR_IN_USE": "Change or delete the jobs that use the calendar first.",
    "SCHEMA_CHANGED": "Restart the service with the version that upgraded the schema.",
    "PLUGIN_VALIDATION_ERROR": "Give the id of the request to the authors of the job group.",
    "TOKEN_EXPIRED": "Plan the action anew.",
    "CURSOR_INVALID": "Begin with the first page.",
}
_ADVICE_BY_STATUS = {
    ANY: "Look at the status and the detail.",
    400: "Correct the request as the detail says.",
    403: "Call from a program, or from a page of the service itself.",
    404: "Look for the name or the id in the list of its kind.",
    405: "Use a method that the header `Allow` names.",
    406: "Accept `application/json`.",
    408: "Send the request again, in one go.",
    409: "Look at what is there, and decide again.",
    410: "Begin anew, with what there is.",
    412: "Get what is there, and decide again by what it is.",
    413: "Send less in one call.",
    414: "Send a shorter URL.",
    415: "Send JSON in UTF-8, with `Content-Type: application/json`.",
    417: "Leave out `Expect`.",
    421: "Call the service by a host that it answers for.",
    422: "Correct what `errors` names; `pointer` says where it is.",
    429: "Wait for as long as `Retry-After` says; without it ask for less.",
    431: "Send fewer or shorter headers.",
    500: "Give the id of the request to whoever operates the service.",
    503: "Wait for as long as `Retry-After` says, and send the call again.",
}
_TABLE = {
    400: {
        "MALFORMED_JSON": (
            "the body is not JSON; also for `NaN`, a name that occurs twice in one object, and an empty body"
        ),
        "INVALID_ENCODING": "the body is not UTF-8",
        "JSON_TOO_DEEP": "the body is nested deeper than 32 levels",
        "BODY_INCOMPLETE": "the body was cut off",
        "MALFORMED_REQUEST": "the request is not HTTP/1.1 or HTTP/1.0 as it should be, or its head was cut off",
        "BODY_NOT_ALLOWED": "a `GET` or `DELETE` has a body",
        "INVALID_PATH": (
            "the path contains an invalid percent-escape: one that is cut short, or stands for `/`, `%` or what "
            "cannot be printed"
        ),
        "IDEMPOTENCY_KEY_INVALID": "`Idempotency-Key` is not one key of 1 to 255 printable ASCII characters",
        "IF_NONE_MATCH_INVALID": "with `PUT`, `If-None-Match` can only be `*`",
        "IF_MATCH_INVALID": (
            "`If-Match` is neither `*` nor a single `ETag` of what the call writes: a job, limits, a calendar, "
            "or a webhook"
        ),
        "HOST_INVALID": "the request has no `Host`, more than one, or one that is no host",
    },
    403: {
        "CROSS_ORIGIN": "the request comes from a web page of another origin and could change something",
    },
    404: {
        "UNKNOWN_JOB_GROUP": "no plugin has registered the group, and it has no jobs; or there is no such product",
        "ACTION_NOT_FOUND": "there is no such action, or it was long ago",
        "NODE_NOT_FOUND": "there is no such node",
        "JOB_NOT_FOUND": "the group has no such job",
        "RUN_NOT_FOUND": "the history of the job has no such run",
        "CALENDAR_NOT_FOUND": "there is no such calendar",
        "WEBHOOK_NOT_FOUND": "there is no such webhook",
        "DELIVERY_NOT_FOUND": "there is no such delivery to the webhook",
        "NOT_FOUND": "no call has this path",
    },
    405: {
        "METHOD_NOT_ALLOWED": "the path does not allow this method; `Allow` lists those it allows",
    },
    406: {
        "NOT_ACCEPTABLE": "`Accept` excludes JSON",
    },
    408: {
        "REQUEST_TIMEOUT": "the request did not arrive in time",
    },
    409: {
        "JOB_RUNNING": "the only run of the job has begun; or a job that is to be replaced runs",
        "JOB_NOT_RUNNING": "a recurring job that does not run cannot be cancelled",
        "RECEIPT_TAKEN": "a call under this `Idempotency-Key` was answered more than a day ago; send it again",
        "IDEMPOTENCY_IN_FLIGHT": "the first call under this `Idempotency-Key` is under way",
        "JOB_EXISTS": "another job has the id; `job` says which",
        "KEY_TAKEN": "another job of the group has the key and is not done",
        "JOB_FINISHED": (
            "the job is done; a dead one can be changed and retried, but not paused, resumed, fired or cancelled"
        ),
        "JOB_NOT_DEAD": "the job, or the run, did not give up, or it is tried again already",
        "JOB_NOT_RECURRING": "the job runs only once, so there is no past range to run",
        "JOB_UNREADABLE": "the row of the job cannot be read: patch what is wrong, or delete it",
        "JOB_OF_NEWER_VERSION": "a newer version of Mainspring wrote the job; only its nodes can run and change it",
        "CALENDAR_IN_USE": "jobs use the calendar",
        "CONFLICT": "the edit lost to concurrent writers ten times; nothing was written, try again",
    },
    410: {
        "EVENTS_FORGOTTEN": "events behind this place are not kept any more",
    },
    412: {
        "PRECONDITION_FAILED": (
            "the job, the limits or the calendar is another than `If-Match` says, or is there although `If-None-"
            "Match` is `*`"
        ),
    },
    413: {
        "BODY_TOO_LARGE": "the body, or a request of a batch, is larger than 256 KiB, or a batch larger than 64 MiB",
        "BATCH_TOO_LARGE": "a batch has more than 100,000 jobs, or more than 1,000,000 members and elements",
    },
    414: {
        "URI_TOO_LONG": "path and query are longer than 8 KiB",
    },
    415: {
        "UNSUPPORTED_MEDIA_TYPE": (
            "the body is not sent as `application/json` (or `application/…+json`, but not `json-patch`), not in "
            "UTF-8, or with a `Content-Encoding`. `Accept-Patch` says what a `PATCH` may be"
        ),
    },
    417: {
        "EXPECTATION_FAILED": "`Expect` is something else than `100-continue`",
    },
    421: {
        "HOST_NOT_ALLOWED": "the service does not answer for the host that the request names; see Who may call",
    },
    422: {
        "JOB_CREATION_ERROR": "a job cannot be created as it was asked for; `errors` names each problem",
        "JOB_UPDATE_ERROR": "a job cannot be changed as it was asked for; `errors` names each problem",
        "VALIDATION_ERROR": "a value is not of the type or in the range of its field; `errors` names each problem",
        "BODY_NOT_OBJECT": "the body, or a member of a batch, is JSON but not an object",
        "BODY_NOT_ARRAY": "the body of a batch is JSON but not an array",
        "NUMBER_RANGE": (
            "a number has more than 1000 digits or does not fit into a double; or a parameter is out of range"
        ),
        "NUL_IN_STRING": "a string contains a NUL character",
        "INVALID_UNICODE": "a string contains half of a surrogate pair",
        "TOO_MANY_MEMBERS": "the body, or a calendar, has more than 1000 members and elements",
        "JOB_ID_INVALID": "a job cannot have this id: it must be a UUID of RFC 9562",
        "IDEMPOTENCY_MISMATCH": "another call was sent under this `Idempotency-Key`",
        "EMPTY_PATCH": "the patch changes nothing",
        "REQUEST_TOO_LARGE": "with the patch, the stored request would be larger than 256 KiB",
        "REQD_FIELD_MISSING": "the field is required",
        "UNKNOWN_FIELD": "the group, or the object, has no such field",
        "RESERVED_FIELD": "only the service writes this field",
        "INVALID_VALUE": "a validation of the group failed",
        "OBJECT_TYPE": "the value must be an object",
        "PLUGIN_VALIDATION_ERROR": (
            "a validation of the group has a bug, and the log has the details for its authors; or the concurrency"
            " key that the group makes of the request is none"
        ),
        "HTTP_URL_SCHEME": "the URL of an HTTP job is not absolute, or neither http nor https",
        "HTTP_TARGET_FORBIDDEN": "the URL of an HTTP job has a host that may not be called, or is no plain URL",
        "HTTP_URL_FIELD": "a field cannot stand in the URL of an HTTP job: it is empty, a list or an object",
        "COMMAND_REQUEST_TOO_LARGE": "the fields of a command job are larger than 120 KiB as JSON",
        "FALSE_SCHEMA": (
            "the schema of a job without code allows no value here; other keywords of JSON Schema give their own "
            "names, such as `MAX_LENGTH`"
        ),
        "WHEN_TYPE": "a time must be a string that is not empty",
        "WHEN_FORMAT": "the value is not written as a time",
        "WHEN_ZONE_REQUIRED": "the time has no time of day or no zone",
        "WHEN_OFFSET_RANGE": "the offset is larger than 18:00",
        "WHEN_RANGE": "the date or time of day does not exist, or is not in the range of times",
        "WHEN_TOO_FAR": "the time is more than ten years ahead",
        "WHEN_TOO_OLD": "a recurring job would begin more than thirty years back; the detail names the limit",
        "DURATION_TYPE": "a duration must be a string that is not empty",
        "DURATION_FORMAT": "the value is not written as a duration",
        "DURATION_RANGE": "the duration is longer than ten years",
        "TIME_ZONE_UNKNOWN": "the IANA zone does not exist",
        "INVALID_CRON": "the value is not a cron expression",
        "CRON_TOO_FREQUENT": "the expression has fire times that are one second apart",
        "CRON_NEVER": "no day in the 40 years from the start is one that it names",
        "INVALID_RRULE": "the value is not a recurrence rule or set, or one that is not supported",
        "RRULE_NEVER": "no day and time in the 40 years from the start are those that it names",
        "SCHEDULE_TOO_FREQUENT": (
            "`every` is shorter than one second, or a rule has fire times that are one second apart"
        ),
        "SCHEDULE_NEVER": (
            "`end` is before the first fire time, `except` leaves out all of them, or there is no fire time"
        ),
        "SCHEDULE_CONFLICT": (
            "two members say the same thing or contradict each other; the pointer names the one to leave out"
        ),
        "CALENDAR_UNKNOWN": "there is no calendar with that name",
        "CALENDAR_NAME_INVALID": "a calendar cannot have this name",
        "TOO_MANY_CALENDARS": "there are 500 calendars already",
        "CALENDARS_TOO_LARGE": "with this one, all calendars together would have more than 1024 KiB",
        "WEBHOOK_NAME_INVALID": "a webhook cannot have this name, or the body has another than the path",
        "TOO_MANY_WEBHOOKS": "there are 100 webhooks already",
        "SECRET_UNKNOWN": "`[secrets]` of this service has no secret of this name",
        "DATE_FORMAT": "a day of a calendar is not written as `2026-12-24`",
        "TIME_FORMAT": "a time of day is not written as `18:00`, or does not exist",
        "RANGE_REVERSED": "the range ends before it begins",
        "RANGE_IN_FUTURE": "a backfill can only be of the past",
        "HOLIDAYS_UNKNOWN": "the holidays of this country or subdivision are not known",
        "HOLIDAYS_NOT_INSTALLED": "holidays need the extra `mainspring[holidays]`",
        "OUTAGE_INVALID": "an outage has no start or no end, or ends before it starts",
        "TAG_INVALID": (
            "the parameter `tag` cannot be a tag: it has 1 to 100 characters, no commas and no control characters"
        ),
        "BOOLEAN_INVALID": "the parameter must be `true` or `false`",
        "UNKNOWN_JOB": "`after` names a job that is not there, or is one of another product",
        "AFTER_FAILED": "`after` names a job that did not succeed, and `onFailure` is `cancel`",
        "AFTER_CIRCLE": "jobs would wait for each other",
        "AFTER_TOO_MANY": "the jobs of a batch wait for more than 1,000 different jobs in all",
        "AFTER_TOO_LONG": "`after` leads to more than 10,000 jobs that wait for one another",
        "AFTER_BY_JOB": "a job that follows another has `after`",
        "KEY_REPEATED": "two requests of a batch have the same key",
        "REPLACE_IN_BATCH": 'a request of a batch, or of a job that follows another, has `"onConflict": "replace"`',
        "INVALID_REASON": "the reason of a pause is no text of 1 to 500 characters, or has control characters",
        "UNTIL_IN_PAST": "a pause would end before it begins",
        "INVALID_REPEAT_INTERVAL": "the value is not a whole number of days from 1 to 3653",
        "INVALID_REPEAT_COUNT": "the value is not a whole number, 0 or more",
        "CURSOR_INVALID": "the value is not a cursor of this list",
        "ACTION_INVALID": "a member of the plan of an action is missing or wrong",
        "TOKEN_INVALID": "the token is not that of a plan for these jobs",
        "TOKEN_EXPIRED": "the plan is more than an hour old",
        "ORDER_INVALID": "jobs do not come in this order, or not those that are asked for",
        "NODE_INVALID": "`node` is only taken for jobs that run",
        "KEY_INVALID": "the parameter cannot be a key: it has 1 to 200 characters and no control characters",
        "PREFIX_INVALID": "`q` has 1 to 200 characters, and no control characters",
        "FIELD_NOT_SEARCHABLE": "jobs cannot be found by this field of their requests",
        "VALUE_TOO_LONG": "the value is longer than any by which jobs can be found",
        "TYPE_INVALID": "no event has this type",
        "OUTCOME_INVALID": "no run ends so",
        "STATE_INVALID": "these states cannot be listed, or not together",
        "PARAMETER_INVALID": "the parameter is not taken in this form of the call",
        "UNKNOWN_PARAMETER": "the call has no such parameter",
        "REPEATED_PARAMETER": "the parameter is given more than once",
    },
    429: {
        "QUOTA_EXCEEDED": "the jobs would exceed a quota of their group or product; nothing was created",
    },
    431: {
        "HEADERS_TOO_LARGE": "the headers, or what stands between the chunks of a body, are too large",
    },
    500: {
        "INTERNAL_ERROR": "a bug in Mainspring; the log has the details under the id of the request",
    },
    503: {
        "SCHEMA_CHANGED": (
            "the schema of the job store was upgraded under this service: restart it with the version that did so"
        ),
        "STORE_UNAVAILABLE": (
            "the job store does not answer; a write that was in progress may or may not have been done"
        ),
        "NOT_READY": "only from `/readyz`",
        "SERVICE_OVERLOADED": (
            "the bodies of other requests take all the memory that there is for them; nothing was written"
        ),
        "TOO_MANY_FOLLOWERS": "as many follow events at this service as may",
        "TOO_MANY_CONNECTIONS": "all connections are in use; nothing was written",
    },
    0: {
        "HTTP_ERROR": "refused at the level of HTTP; the status says why",
    },
}
CODES = {name: Code(name, status, means) for status, codes in _TABLE.items() for name, means in codes.items()}


def code_of(name: str) -> Code:
    """Return what is known of a code, or what stands for those that are not ours."""
    return CODES.get(name) or CODES[OTHER]


def type_of(name: str) -> str:
    """Return the URI of a problem with this code: its page, relative to the service."""
    return f"{PATH}/{code_of(name).slug}"
