"""A job group whose jobs run a program, as ``[[command_jobs]]`` of the settings declares it.

No request ever names a program or an argument: its fields reach the program as JSON in a variable.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from mainspring.declared.fields import check_schema, request_model
from mainspring.declared.http_job import Segment, lasting
from mainspring.declared.refusals import Refusal, refusal
from mainspring.declared.secret import absolute
from mainspring.job import JobRequest
from mainspring.schedule import Duration

LONGEST_REQUEST = 120 * 1024
"""Bytes of the JSON of a request: Linux gives a variable no more than 128 KiB."""


def _check_words(words: tuple[str, ...]) -> tuple[str, ...]:
    found = [
        Refusal((number,), "COMMAND_WORD", "has a NUL character") for number, word in enumerate(words) if "\0" in word
    ]
    if not words or not words[0]:
        found.append(Refusal((0,), "COMMAND_WORD", "must name a program"))
    if found:
        raise refusal("command", found)
    return words


def _check_environment(variables: Mapping[str, str]) -> Mapping[str, str]:
    found = []
    for name, value in variables.items():
        if name.startswith("MAINSPRING_"):
            found.append(Refusal((name,), "VARIABLE_TAKEN", "begins with MAINSPRING_, which Mainspring itself sets"))
        elif not name.isascii() or not name.isidentifier():
            found.append(Refusal((name,), "VARIABLE_NAME", "is no name of a variable"))
        elif "\0" in value:
            found.append(Refusal((name,), "VARIABLE_VALUE", "has a NUL character"))
    if found:
        raise refusal("environment", found)
    return variables


def _check_codes(codes: tuple[int, ...]) -> tuple[int, ...]:
    if not codes:
        raise ValueError("must name at least one exit code")
    return codes


class CommandJob(BaseModel):
    """Which program each job of a group runs, and how its end is judged."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    product: Segment
    job_group: Segment
    command: Annotated[tuple[str, ...], AfterValidator(_check_words)]
    environment: Annotated[Mapping[str, str], AfterValidator(_check_environment)] = {}
    working_directory: Annotated[str, AfterValidator(absolute)] | None = None
    stdin: str | None = None
    """What the program reads; `None` is nothing."""
    request: Annotated[Mapping[str, Any], AfterValidator(check_schema)] = {}
    time_limit: Annotated[Duration, lasting("PT0.1S", "P7D")] = timedelta(hours=1)
    success: Annotated[tuple[Annotated[int, Field(ge=0, le=255)], ...], AfterValidator(_check_codes)] = (0,)
    """The exit codes that are a success."""
    max_attempts: Annotated[int, Field(ge=1, le=1000)] = 5
    memory_limit: Annotated[int, Field(ge=1024 * 1024)] | None = None
    """Bytes of address space of each of its processes; `None` is no limit. Linux only."""

    def request_model(self) -> type[JobRequest]:
        """Make the model of the requests."""
        return request_model(f"{self.product} {self.job_group}", self.request, _check_size)


def _check_size(fields: Mapping[str, Any]) -> Iterator[Refusal]:
    if len(json.dumps(fields)) > LONGEST_REQUEST:
        words = f"the request is larger than {LONGEST_REQUEST // 1024} KiB as JSON, which is what a program can get"
        yield Refusal((), "COMMAND_REQUEST_TOO_LARGE", words)
