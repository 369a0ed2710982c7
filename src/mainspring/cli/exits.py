"""The exit codes of the process.

The codes from 64 on are those of ``sysexits.h``, which service managers know. 78, for a wrong configuration, is the
error's own (`ConfigError.exit_code`), and 2, for wrong usage, is typer's.
"""

from __future__ import annotations

from mainspring.errors import ConfigError, MainspringError, StoreUnavailableError

REFUSED = 1
"""The service refuses, or a check finds something wrong."""
NOT_WELL = 3
"""The service answers, but is not well."""
UNAVAILABLE = 69
"""The store or the service does not answer."""
INTERRUPTED = 130
"""Ctrl-C, as a shell reports it: 128 and the number of SIGINT."""


def exit_code(error: MainspringError) -> int:
    """Return the code for an error that ends a command."""
    match error:
        case ConfigError():
            return error.exit_code
        case StoreUnavailableError():
            return UNAVAILABLE
        case _:
            return REFUSED
