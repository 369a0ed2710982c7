"""Each example of the page on the client is a program that works, and prints what it is to print."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.process import Process
from tests.docs.reading import blocks
from tests.docs.shell import WRITTEN_URL

EXAMPLES = blocks("docs/client.md", "python")
ID = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
PRINTED = [
    rf"JobRef\(product='vps4', job_group='backups', id='{ID}'\) 20.*\n",
    rf"({ID} 20.*03:0[0-2]:00.*\n|{ID} 20.*0[12]:0[0-2]:00\+00:00\n){{3}}",
    "31\n",
    rf"the job {ID} is scheduled after 1 seconds\ncancelled False\n",
    rf"({ID} 79bfd10c-1529-42de-bd68-1a6e084ee13d\n){{10}}\d+\n",
    r"job\.created 20.*\+00:00 JobRef\(product='vps4', .*\)\n",
    "60\n",
    r"(?s)(?=.*/vmId )(?=.*/options/priority )(?=.*/when REQD_FIELD_MISSING ).*",
    "True True\nTrue\nFalse\n",
]
"""What each example prints, in the order of the page."""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """A service with the example plugin; each example finds the jobs of those before it."""
    with Process.serve("memory:", tmp_path_factory.mktemp("service")) as process:
        yield process


def test_examples_of_the_page_work(service: Process, tmp_path: Path) -> None:
    """With warnings as errors, and where the service of the test is."""
    assert len(PRINTED) == len(EXAMPLES)
    environ = {name: value for name, value in os.environ.items() if not name.startswith("MAINSPRING_")}
    for example, printed in zip(EXAMPLES, PRINTED, strict=True):
        ran = subprocess.run(
            [sys.executable, "-W", "error", "-c", example.text.replace(WRITTEN_URL, service.url)],
            cwd=tmp_path,
            env=environ | {"MAINSPRING_URL": service.url},
            capture_output=True,
            text=True,
            check=False,
        )
        assert (0, "") == (ran.returncode, ran.stderr)
        assert re.fullmatch(printed, ran.stdout), (printed, ran.stdout)
