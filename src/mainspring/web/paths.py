"""Where things are: the base path, the paths that rows are made of, and the paths of one group and one job."""

from __future__ import annotations

from functools import lru_cache
from urllib.parse import quote

from mainspring.job import Job, JobKey

BASE = "/api/schedulers"
OTHER_BASE = "/api/scheduler"
"""Answers the same: the seed's documents spell the base path both ways."""
GROUP = f"{BASE}/{{product}}/{{jobGroup}}"
JOB = f"{GROUP}/jobs/{{jobId}}"


@lru_cache(1000)
def group_path(key: JobKey) -> str:
    """Return the path of a job group."""
    return f"{BASE}/{quote(key.product, safe='')}/{quote(key.job_group, safe='')}"


def job_path(job: Job) -> str:
    """Return the path of a job."""
    return f"{group_path(job.key)}/jobs/{job.id}"
