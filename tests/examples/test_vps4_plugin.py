import re
from datetime import timedelta
from pathlib import Path

import pytest
from mainspring_vps4.jobs import Vps4BackupJob, Vps4RemoveSupportUserJob
from mainspring_vps4.listeners import Vps4BackupTriggerListener
from mainspring_vps4.plugin import Vps4SchedulerPluginModule, rhythm
from mainspring_vps4.settings import Vps4Settings

from mainspring.errors import ConfigError
from mainspring.job import JobKey
from mainspring.plugins import build
from mainspring.settings import PluginSettings

pytestmark = pytest.mark.anyio

GROUPS = {"backups", "zombie", "patch", "cancelAccount", "destroyVm", "removeSupportUser", "supportUser"}
ROOT = Path(__file__).parents[2]


async def test_plugin_binds_its_groups_and_all_they_ask_for() -> None:
    """A node that loads the plugin can build everything in it, and close it again."""
    registry = build([("vps4", Vps4SchedulerPluginModule())])
    expected = {JobKey("vps4", group) for group in GROUPS}
    assert expected == set(registry.bindings)
    assert (Vps4BackupTriggerListener,) == registry.find(JobKey("vps4", "backups")).listeners
    await registry.open()
    made = {type(group.make_job()) for group in registry.bound.values()}
    assert {Vps4BackupJob, Vps4RemoveSupportUserJob} <= made
    await registry.close()


@pytest.mark.parametrize(("ours", "expected"), [(True, timedelta(days=7)), (False, None)])
def test_who_schedules_the_next_backup_is_a_setting(expected: timedelta | None, *, ours: bool) -> None:
    """A product that does so by itself would get two of each."""
    assert expected == rhythm(Vps4Settings(schedule_next_backup=ours)).interval


@pytest.mark.parametrize("page", ["docs/seed.md", "examples/vps4/README.md"])
def test_pages_list_the_groups(page: str) -> None:
    """Those that there are, and no others."""
    table = (ROOT / page).read_text("utf-8").partition("| job group |")[2].partition("\n\n")[0]
    assert GROUPS == set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE))


def test_plugin_does_not_load_with_nonsense_in_its_settings() -> None:
    """The operator hears of it at the start and not when the first backup is due."""
    told = PluginSettings({"vps4": {"postpone_maximum": "soon"}})
    with pytest.raises(ConfigError, match=r"plugins\.vps4\.postpone_maximum"):
        build([("vps4", Vps4SchedulerPluginModule())], told=told)
