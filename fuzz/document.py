"""The OpenAPI document against the service: what it forbids is refused, and what it allows is never malformed.

schemathesis draws both, and compares each answer with the document.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import product
from typing import Any

import httpx2
import hypothesis
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import Case, GenerationMode, Response
from schemathesis.core.failures import Failure, FailureGroup
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
)

from fuzz.client import PATIENCE
from fuzz.judge import Fault
from fuzz.report import Report
from fuzz.run import share
from fuzz.service import Service
from mainspring.web.endpoints.events import MOST_SECONDS


def check(service: Service, examples: int, seed: int, report: Report, paths: str = "") -> int:
    """Send that many examples at least, for paths that a pattern finds, and note what came of them; return how many.

    Of a call that leaves little to choose there are fewer than are asked for, so several rounds are made.
    """
    sent, rounds = 0, 0
    while sent < examples:
        sent += _round(service, examples - sent, seed + rounds, report, paths)
        rounds += 1
    return sent


def _round(service: Service, examples: int, seed: int, report: Report, paths: str) -> int:
    sent = 0
    document = schemathesis.openapi.from_dict(service.document)
    operations = [found.ok() for found in document.get_all_operations() if isinstance(found, Ok)]
    assert len(operations) == sum(len(item.keys() - {"parameters"}) for item in service.document["paths"].values())
    turns = [*product([each for each in operations if re.search(paths, each.path)], GenerationMode)]
    for number, (operation, mode) in enumerate(turns):
        known = _known(service, operation.path)
        cases = operation.as_strategy(generation_mode=mode, path_parameters=known)

        @hypothesis.seed(seed)
        @settings(
            max_examples=max(1, share(examples, number, len(turns))),
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=cases)
        def send(case: Case[Any]) -> None:
            nonlocal sent
            sent += 1
            _as_page(case)
            response = case.call(service.url, timeout=PATIENCE)
            report.add(response.status_code, response.elapsed, _faults(case, response))

        try:
            send()
        except Unsatisfiable:  # in a call without parameters nothing can be wrong
            assert mode is GenerationMode.NEGATIVE, operation.label
    return sent


def _as_page(case: Case[Any]) -> None:
    """Ask for the events that there are: a stream has no end, and a page waits for the first one."""
    if case.path.endswith("/events"):
        case.headers["Accept"] = "application/json"
        if str(case.query.get("wait", "0")) in map(str, range(MOST_SECONDS + 1)):  # what is wrong stays wrong
            case.query["wait"] = "0"


def _known(service: Service, path: str) -> dict[str, Any]:
    """Return what the names in a path stand for, so that what is wrong is elsewhere: a job that is there."""
    if "{name}" in path:
        return {"name": "fuzzed"}
    if "{product}" in path:
        return {
            "product": next(each for each in service.document["paths"] if each.endswith("/jobs/batch")).split("/")[3]
        }
    group = path.partition("/{jobId}")[0]
    if group == path:
        return {}
    content = service.document["paths"][group]["post"]["requestBody"]["content"]["application/json"]
    answer = httpx2.post(f"{service.url}{group}", json=content["example"], timeout=PATIENCE)
    return {"jobId": answer.json()["id"], **({"run": 1} if "{run}" in path else {})}


def _faults(case: Case[Any], response: Response) -> Iterator[Fault]:
    subject = f"{case.method} {case.path}"
    is_good = response.status_code < 400
    checks = [status_code_conformance, content_type_conformance, response_schema_conformance]
    try:
        case.validate_response(response, checks=[*checks, *([negative_data_rejection] if is_good else [])])
    except FailureGroup as group:
        for failure in group.exceptions:
            yield Fault(f"schemathesis: {failure.title}", f"{subject} {response.status_code}", _shown(case, failure))
    if case.meta and case.meta.generation.mode.is_positive and response.status_code == 400:
        yield Fault(
            "what the document allows is malformed", subject, f"{case.as_curl_command()} -> {response.text[:300]}"
        )


def _shown(case: Case[Any], failure: Failure) -> str:
    return f"{case.as_curl_command()[:500]} -> {failure.message[:300]!r}"
