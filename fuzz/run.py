"""Sends what was drawn, from several clients at once, and has each answer judged."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from random import Random

from fuzz import raw
from fuzz.client import Answer, Connection, talk
from fuzz.draw import Draw, Request
from fuzz.judge import Judge, raw_faults
from fuzz.report import Report
from fuzz.service import Service

CLIENTS = 8
TALKERS = 64
"""Clients that send raw bytes: they mostly wait for a connection to be closed."""
RAW_SHARE = 50
"""Of so many requests one is raw bytes."""


async def fuzz(service: Service, requests: int, seed: int) -> Report:
    """Send that many requests and return what came of them."""
    report, judge, jobs = Report(), Judge(service.document), list[str]()
    async with asyncio.TaskGroup() as clients:
        for number in range(CLIENTS):
            draw = Draw(service.document, Random(f"{seed} {number}"), jobs)
            clients.create_task(_send(service, draw, judge, report, share(requests, number, CLIENTS)))
        for number in range(TALKERS):
            random = Random(f"{seed} raw {number}")
            clients.create_task(_talk(service, random, report, share(requests // RAW_SHARE, number, TALKERS)))
    return report


def share(requests: int, number: int, clients: int) -> int:
    """Return how many of the requests a client sends."""
    return (requests + number) // clients


async def _send(service: Service, draw: Draw, judge: Judge, report: Report, requests: int) -> None:
    connection = Connection(service.address)
    for _ in range(requests):
        request = draw.request()
        answer = await connection.ask(request.encode(service.host), head=request.method == "HEAD")
        report.add(answer.status, answer.seconds, judge.faults(request, answer))
        if answer.status == 201:
            draw.jobs += created(request, answer)
        elif answer.status == 204 and request.path in draw.jobs:
            draw.jobs.remove(request.path)
    connection.close()


async def _talk(service: Service, random: Random, report: Report, requests: int) -> None:
    for _ in range(requests):
        data = raw.bytes_of(random)
        answers = await talk(service.address, data)
        for answer in answers:
            report.add(answer.status, answer.seconds, ())
        report.blame(raw_faults(data, answers))


def created(request: Request, answer: Answer) -> list[str]:
    """Return the paths of the jobs that were created."""
    if location := answer.headers.get("location"):
        return [location] if "/jobs/" in location else []
    jobs = request.path.removesuffix("/batch")
    with suppress(ValueError, LookupError):
        return [f"{jobs}/{job}" for job in json.loads(answer.body)["ids"]]
    return []
