"""Run the stand-in on this machine until Ctrl-C."""

from __future__ import annotations

import argparse
import logging

import uvicorn

from mainspring.clock import SystemClock
from mainspring_vps4.standin.app import Standin
from mainspring_vps4.standin.cloud import Cloud, first_vms


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m mainspring_vps4.standin", description="A small stand-in of the VPS4 product API."
    )
    parser.add_argument("--port", type=int, default=8090, help="listen here on 127.0.0.1 (%(default)s)")
    parser.add_argument("--dc-limit", type=int, default=2, help="backups at a time in a data centre (%(default)s)")
    parser.add_argument("--backup-seconds", type=float, default=30, help="how long a backup runs (%(default)s)")
    return parser.parse_args()


def main() -> None:
    """Serve until a signal ends it."""
    options = _options()
    logging.basicConfig(level=logging.WARNING, format="stand-in: %(message)s")
    standin = Standin(Cloud(options.dc_limit, first_vms()), SystemClock(), options.backup_seconds)
    uvicorn.run(standin.app, host="127.0.0.1", port=options.port, log_level="warning")


if __name__ == "__main__":
    main()
