"""The settings of the plugin: what stands below ``[plugins.vps4]`` in ``mainspring.toml``."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, ClassVar

from pydantic import AnyHttpUrl, BaseModel, ConfigDict, Field, model_validator

from mainspring import Duration


class Vps4Settings(BaseModel):
    """What the operator decides about the plugin. Durations are ISO 8601, such as ``PT10M``."""

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True)

    api_url: AnyHttpUrl = AnyHttpUrl("http://127.0.0.1:8090")
    """Where the VPS4 product API answers."""
    api_timeout: Annotated[Duration, Field(gt=timedelta())] = timedelta(seconds=10)
    """How long the API may keep a call waiting."""
    postpone_minimum: Annotated[Duration, Field(gt=timedelta())] = timedelta(minutes=10)
    """The shortest time that a backup waits when its data centre is full."""
    postpone_maximum: Duration = timedelta(minutes=30)
    """The longest time that it waits."""
    next_backup_after: Annotated[Duration, Field(gt=timedelta())] = timedelta(days=7)
    """How far the automatic backups of a VM are apart."""
    schedule_next_backup: bool = True
    """Whether a backup schedules the next one; not if the product does so by itself."""
    backups_per_minute: Annotated[int, Field(ge=1)] = 30
    """How many backups each node may start in any minute."""

    @model_validator(mode="after")
    def _bounds_are_in_order(self) -> Vps4Settings:
        if self.postpone_minimum > self.postpone_maximum:
            raise ValueError("has a postpone_minimum that is longer than its postpone_maximum")
        return self
