"""The settings of the plugin, read from environment variables ``VPS4_*``."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, ClassVar

from pydantic import AnyHttpUrl, Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from mainspring.errors import ConfigError
from mainspring.schedule import Duration

PREFIX = "VPS4_"


class Vps4Settings(BaseSettings):
    """What the operator decides about the plugin. Durations are ISO 8601, such as ``PT10M``."""

    model_config: ClassVar[SettingsConfigDict] = SettingsConfigDict(
        env_prefix=PREFIX, env_ignore_empty=True, frozen=True
    )

    api_url: AnyHttpUrl = AnyHttpUrl("http://127.0.0.1:8090")
    """Where the VPS4 product API answers."""
    api_timeout: Annotated[Duration, Field(gt=timedelta())] = timedelta(seconds=10)
    """How long the API may keep a call waiting."""
    postpone_minimum: Annotated[Duration, Field(gt=timedelta())] = timedelta(minutes=10)
    """The shortest time that a backup waits when its data centre is full."""
    postpone_maximum: Duration = timedelta(minutes=30)
    """The longest time that it waits."""
    backups_per_minute: Annotated[int, Field(ge=1)] = 30
    """How many backups each node may start in any minute."""

    @model_validator(mode="after")
    def _bounds_are_in_order(self) -> Vps4Settings:
        if self.postpone_minimum > self.postpone_maximum:
            raise ValueError(f"{PREFIX}POSTPONE_MINIMUM is longer than {PREFIX}POSTPONE_MAXIMUM")
        return self


def read_settings() -> Vps4Settings:
    """Read the environment. Raises `ConfigError`, which says of every variable that is wrong what is wrong with it."""
    try:
        return Vps4Settings()
    except ValidationError as error:
        problems = error.errors(include_url=False, include_input=False, include_context=False)
        raise ConfigError("; ".join(_sentence(p["loc"], p["msg"]) for p in problems)) from None


def _sentence(location: tuple[int | str, ...], message: str) -> str:
    message = message.removeprefix("Value error, ")
    return f"{PREFIX}{location[0]}: ".upper() + message if location else message
