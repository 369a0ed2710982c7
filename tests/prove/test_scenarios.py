"""The trials of `make prove` in small: real processes, really hurt, by plans drawn from fixed seeds."""

import asyncio
from dataclasses import replace

import pytest

from prove.result import Result
from prove.scenarios.busy import QUICK as BUSY
from prove.scenarios.busy import busy
from prove.scenarios.cuts import QUICK as CUTS
from prove.scenarios.cuts import cuts
from prove.scenarios.followups import QUICK as FOLLOWUPS
from prove.scenarios.followups import followups
from prove.scenarios.keys import QUICK as KEYS
from prove.scenarios.keys import STORES, keys
from prove.scenarios.limits import QUICK as LIMITS
from prove.scenarios.limits import limits
from prove.scenarios.outage import QUICK as OUTAGES
from prove.scenarios.outage import outage
from prove.scenarios.pause import QUICK as PAUSE
from prove.scenarios.pause import pause
from prove.scenarios.poison import ONCE_QUICK, once
from prove.scenarios.races import QUICK as RACES
from prove.scenarios.races import races
from prove.scenarios.shares import QUICK as SHARES
from prove.scenarios.shares import shares
from prove.scenarios.storm import QUICK as STORM
from prove.scenarios.storm import storm
from prove.scenarios.targets import QUICK as TARGETS
from prove.scenarios.targets import targets
from prove.scenarios.zombies import QUICK as ZOMBIES
from prove.scenarios.zombies import zombies
from prove.scenarios.zoo import QUICK as ZOO
from prove.scenarios.zoo import zoo
from tests.postgres import PostgresServer

SEED = 20261101
"""Of two nodes of the storm one dies when its results are written, the other when it gives up the first one's jobs."""


def tried(result: Result, *promises: str) -> None:
    """Assert that nothing was violated, and that each of these promises was really put to the test."""
    assert [] == result.violations
    for promise in promises:
        assert sum(finding.trials for finding in result.findings if finding.promise == promise) > 0, promise


def test_kill_storm(postgres: PostgresServer) -> None:
    """Killed at random and at failpoints: no job lost, none doubled, each begun again soon."""
    tried(asyncio.run(storm(postgres, SEED, STORM)), "P1", "P3", "P4", "P6", "P8", "P9")


def test_zombies(postgres: PostgresServer) -> None:
    """A node that was stopped for longer than its lease begins nothing and changes nothing before it joins anew."""
    tried(asyncio.run(zombies(postgres, SEED, ZOMBIES)), "P5")


def test_restart_of_the_database() -> None:
    """It costs time, not jobs; the API says 503 meanwhile."""
    with PostgresServer() as server:
        tried(asyncio.run(outage(server, SEED, OUTAGES["restart"], kind="restart")), "P8", "P12")


def test_at_most_once(postgres: PostgresServer) -> None:
    """A job marked so is not run again when its node is killed, and history says that its end is unknown."""
    tried(asyncio.run(once(postgres, SEED, ONCE_QUICK)), "P4")


def test_limits(postgres: PostgresServer) -> None:
    """No more run at once than limits let, while nodes are killed and stopped; and a rate is kept."""
    tried(asyncio.run(limits(postgres, SEED, LIMITS)), "P1", "P8", "P24")


def test_flood(postgres: PostgresServer) -> None:
    """While one product has more to do than there are slots, another that has little does not wait behind it."""
    tried(asyncio.run(shares(postgres, SEED, replace(SHARES, nodes=()))), "P8", "P25")


def test_weights(postgres: PostgresServer) -> None:
    """Two nodes together begin the jobs of two products by their weights."""
    tried(asyncio.run(shares(postgres, SEED, replace(SHARES, flood=0))), "P25")


@pytest.mark.parametrize("store", STORES)
def test_keys(postgres: PostgresServer, store: str) -> None:
    """However many clients want a key at once, one job has it, and who is refused is told which."""
    tried(asyncio.run(keys(postgres, SEED, replace(KEYS, stores=(store,)))), "P26")


def test_pause(postgres: PostgresServer) -> None:
    """While everything is paused nothing begins, and then each fire time is accounted for."""
    tried(asyncio.run(pause(postgres, SEED, PAUSE)), "P1", "P8", "P27")


def test_busy(postgres: PostgresServer) -> None:
    """A service that bears less than may run is asked for each job, and none uses up an attempt by it."""
    tried(asyncio.run(busy(postgres, SEED, BUSY)), "P1", "P8", "P28")


@pytest.mark.parametrize("store", FOLLOWUPS.stores)
def test_followups(postgres: PostgresServer, store: str) -> None:
    """Nodes that die where a run ends: each that succeeded has its follow-ups once, and its result."""
    tried(asyncio.run(followups(postgres, SEED, replace(FOLLOWUPS, stores=(store,)))), "P1", "P29")


@pytest.mark.parametrize("store", STORES)
def test_races(postgres: PostgresServer, store: str) -> None:
    """Calls that do not go together, a claim and a run's end, at one moment: it is as if one came after the other."""
    tried(asyncio.run(races(postgres, SEED, RACES, store)), "P31")


@pytest.mark.parametrize("store", CUTS.stores)
def test_cuts(postgres: PostgresServer, store: str) -> None:
    """Wherever a connection breaks: who sends again by the same key has the job once, and the same answer."""
    tried(asyncio.run(cuts(postgres, SEED, replace(CUTS, stores=(store,)))), "P32")


def test_targets(postgres: PostgresServer) -> None:
    """Whatever a target does, the call ends as it must, reaches nothing inside, and leaves nothing over."""
    tried(asyncio.run(targets(postgres, SEED, TARGETS)), "P33")


def test_zoo(postgres: PostgresServer) -> None:
    """A rogue, whatever it does, ends as it should, and its neighbours keep their time."""
    tried(asyncio.run(zoo(postgres, SEED, ZOO)), "P16")


@pytest.mark.parametrize(
    "scenario",
    [
        "storm",
        "zombies",
        "outage-restart",
        "once",
        "limits",
        "shares",
        "keys",
        "pause",
        "busy",
        "followups",
        "races-postgresql",
        "zoo",
    ],
)
def test_each_has_its_place_in_the_page(scenario: str) -> None:
    """What is tried in small here can be run in full by its name."""
    from prove.__main__ import scenarios  # noqa: PLC0415 - the command line, for this test alone

    assert scenario in scenarios(quick=False)
