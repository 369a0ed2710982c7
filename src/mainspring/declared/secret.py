"""Where a secret is found: the name of a variable or of a file, never the secret itself."""

from __future__ import annotations

from pathlib import PurePath
from typing import Annotated, Any, ClassVar, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

SECRET_NAME = r"[A-Za-z][A-Za-z0-9_-]{0,63}"  # noqa: S105 - the form of its name


def absolute(path: str) -> str:
    """Return a path that does not depend on the working directory. Raises `ValueError`."""
    if not PurePath(path).is_absolute() or "\0" in path:
        raise ValueError("must be an absolute path")
    return path


class Secret(BaseModel):
    """The source of a secret: exactly one of a variable of the environment and a file."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    environment: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")] | None = None
    file: Annotated[str, AfterValidator(absolute)] | None = None

    @model_validator(mode="before")
    @classmethod
    def _is_a_table(cls, told: Any) -> Any:
        if isinstance(told, str | int | float | list):
            raise PydanticCustomError(
                "SECRET_INLINE", "must be a table with environment or file: a secret itself does not belong here"
            )
        return told

    @model_validator(mode="after")
    def _has_one_source(self) -> Self:
        if (self.environment is None) == (self.file is None):
            raise PydanticCustomError("SECRET_SOURCE", "must have either environment or file")
        return self
