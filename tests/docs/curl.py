"""What ``curl`` is to the blocks of the documentation: as much of it as they use, sent to where the test's service is.

Each answer is noted in the file that ASKED names.
"""

import argparse
import os
import sys
from pathlib import Path

import httpx2


def main() -> None:
    """Make one request."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("-s", action="store_true")
    parser.add_argument("-X", default="GET", dest="method")
    parser.add_argument("-H", action="append", default=[], dest="headers")
    parser.add_argument("-d", dest="data")
    parser.add_argument("url")
    asked = parser.parse_args()
    here, there = os.environ["WRITTEN_URL"], os.environ["REAL_URL"]
    assert asked.url.startswith(here), asked.url
    headers = [(name, value.strip()) for name, _, value in (header.partition(":") for header in asked.headers)]
    answer = httpx2.request(asked.method, there + asked.url.removeprefix(here), headers=headers, content=asked.data)
    with Path(os.environ["ASKED"]).open("a") as file:
        file.write(f"{asked.method} {answer.status_code}\n")
    sys.stdout.write(answer.text)


if __name__ == "__main__":
    main()
