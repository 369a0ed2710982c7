"""A shell that blocks of the documentation are pasted into."""

import os
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

CURL = Path(__file__).with_name("curl.py")
WRITTEN_URL = "http://127.0.0.1:8089"
"""Where the documentation says that the service is."""
END = "--- pasted ---"


class Pasted(NamedTuple):
    """What was seen after a block, and the method and status of each of its calls."""

    output: str
    calls: list[str]


class Shell:
    """``/bin/sh`` in a directory, with a ``curl`` that asks the service at `url`.

    Variables last from block to block.
    """

    def __init__(self, directory: Path, url: str) -> None:
        tools = directory / "tools"
        tools.mkdir()
        curl = tools / "curl"
        curl.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{CURL}" "$@"\n')
        curl.chmod(0o755)
        self._asked = directory / "asked.txt"
        self._shell = subprocess.Popen(
            ["/bin/sh"],
            cwd=directory,
            env={
                "PATH": f"{tools}{os.pathsep}{Path(sys.executable).parent}{os.pathsep}/usr/bin{os.pathsep}/bin",
                "WRITTEN_URL": WRITTEN_URL,
                "REAL_URL": url,
                "ASKED": str(self._asked),
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._shell.communicate()

    def paste(self, block: str) -> Pasted:
        """Run a block and return when it is done."""
        assert self._shell.stdin is not None
        assert self._shell.stdout is not None
        self._asked.write_text("")
        self._shell.stdin.write(f"{block}\necho; echo '{END}'\n")
        self._shell.stdin.flush()
        output = ""
        while not output.endswith(f"\n{END}\n"):
            line = self._shell.stdout.readline()
            assert line, f"the shell ended:\n{output}"
            output += line
        return Pasted(output.removesuffix(f"\n{END}\n"), self._asked.read_text().splitlines())
