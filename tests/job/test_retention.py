"""How long history is kept."""

from datetime import timedelta

from mainspring.job import JobKey, Retention, Scope

DAY = timedelta(days=1)


def test_the_nearest_says_how_long() -> None:
    """A group goes before its product, and this before what is usual."""
    retention = Retention(30 * DAY, {Scope("vps4"): 7 * DAY, Scope("vps4", "backups"): 90 * DAY})

    assert retention.of(JobKey("vps4", "backups")) == 90 * DAY
    assert retention.of(JobKey("vps4", "snapshots")) == 7 * DAY
    assert retention.of(JobKey("other", "backups")) == 30 * DAY
    assert retention.longest == 90 * DAY
