"""The parts of the composition root that can be seen apart from a whole process."""

import asyncio
import sys

from mainspring.compose import _loop_in_a_thread


def test_loop_in_a_thread_outlives_a_task_that_exits() -> None:
    """A job whose task calls `sys.exit` ends neither the loop nor its thread."""

    async def exits() -> None:
        sys.exit(3)

    async def job() -> str:
        try:
            await asyncio.create_task(exits())
        except SystemExit as error:
            return f"exit {error.code}"
        return "went on"

    with _loop_in_a_thread("job-loop") as loop:
        for _ in range(2):
            assert asyncio.run_coroutine_threadsafe(job(), loop).result(timeout=10) == "exit 3"
