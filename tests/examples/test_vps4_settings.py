from datetime import timedelta

import pytest
from mainspring_vps4.plugin import Vps4SchedulerPluginModule
from mainspring_vps4.settings import Vps4Settings

from mainspring.errors import ConfigError
from mainspring.plugins import build
from mainspring.settings import PluginSettings


def refused(**settings: object) -> list[str]:
    """Start with settings that are wrong, and return what is said about them."""
    with pytest.raises(ConfigError) as error:
        build([("vps4", Vps4SchedulerPluginModule())], told=PluginSettings({"vps4": settings}))
    return [line.removeprefix("  - plugins.vps4") for line in str(error.value).splitlines()[1:]]


def test_defaults() -> None:
    """Without a word from the operator the plugin talks to this machine, postpones by 20 ± 10 minutes, and so on."""
    settings = Vps4Settings()
    assert str(settings.api_url) == "http://127.0.0.1:8090/"
    assert (timedelta(minutes=10), timedelta(minutes=30)) == (settings.postpone_minimum, settings.postpone_maximum)
    assert (True, timedelta(days=7)) == (settings.schedule_next_backup, settings.next_backup_after)
    assert settings.backups_per_minute == 30


def test_all_nonsense_is_told_at_once() -> None:
    """The operator reads one message that names every key that is wrong."""
    assert [
        ".postpone_minimum (mainspring.toml) is not an ISO 8601 duration such as PT15M or P1D",
        ".next_backup_after (mainspring.toml) must be greater than PT0S",
        ".backups_per_minute (mainspring.toml) must be greater than or equal to 1",
    ] == refused(postpone_minimum="ten minutes", next_backup_after="PT0S", backups_per_minute=0)


def test_bounds_must_be_in_order() -> None:
    """A shortest time that is longer than the longest is nonsense too."""
    expected = " (mainspring.toml) has a postpone_minimum that is longer than its postpone_maximum"
    assert [expected] == refused(postpone_minimum="PT1H")
