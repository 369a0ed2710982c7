"""What an operator tells plugins: how it is bound, where it comes from, and what is said about what is wrong."""

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Annotated, Any, ClassVar, Self

import pytest
from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from mainspring import Binder, Duration, Outcome
from mainspring.errors import ConfigError
from mainspring.job import JobKey
from mainspring.plugins import Registry, build
from mainspring.settings import PluginSettings
from mainspring.testing import TestScheduler, run_job
from tests.plugins.conftest import BACKUPS, Configure, Module, Quota, Work, a_job_class, binds, sentences

PORT, TOKEN = "MAINSPRING_PLUGINS__ACME__PORT", "MAINSPRING_PLUGINS__ACME__TOKEN"
SMTP = "MAINSPRING_PLUGINS__ACME__SMTP"
NO_SETTING = "(environment) is no setting of a plugin; these are MAINSPRING_PLUGINS__NAME__KEY"
NO_NAME = "are no name of small letters, digits and single _, other than modules"


class Smtp(BaseModel):
    host: str = "localhost"
    port: int = 25


class AcmeSettings(BaseModel):
    token: SecretStr
    port: Annotated[int, Field(ge=1)] = 80
    smtp: Smtp = Smtp()
    hosts: list[str] = []
    since: date | None = None
    patience: Duration = timedelta(seconds=1)
    credentials: SecretStr | None = None

    @field_validator("token")
    @classmethod
    def is_long(cls, token: SecretStr) -> SecretStr:
        if len(token.get_secret_value()) < 2:
            raise ValueError("is too short")
        return token

    @model_validator(mode="after")
    def fits(self) -> Self:
        if self.hosts and self.port == 80:
            raise ValueError("hosts need another port")
        return self


class OtherSettings(BaseModel):
    colour: str = "red"


class NeedsSettings(Work):
    def __init__(self, settings: AcmeSettings) -> None:
        self.settings = settings


def acme(section: Any = "acme", model: Any = AcmeSettings) -> Configure:
    """Bind settings, and a job class that asks for them."""

    def configure(binder: Binder) -> None:
        binder.bind_settings(section, model)
        binder.bind_job(a_job_class(NeedsSettings))

    return configure


def told(
    acme: Mapping[str, Any] | None = None, variables: Mapping[str, str] | None = None, **sections: Any
) -> PluginSettings:
    """Make what an operator says: a table ``[plugins.acme]``, variables, and other tables."""
    tables = sections if acme is None else {"acme": acme, **sections}
    return PluginSettings(tables, variables or {})


def a_registry(settings: PluginSettings, *configures: Configure) -> Registry:
    """Build a registry with what an operator says."""
    names = ("one", "two")
    modules = [(name, Module(each)) for name, each in zip(names, configures or (acme(),), strict=False)]
    return build(modules, told=settings)


def problems(settings: PluginSettings, *configures: Configure) -> list[str]:
    """List what is wrong with what an operator says."""
    with pytest.raises(ConfigError) as caught:
        a_registry(settings, *configures)
    assert "s3cret" not in str(caught.value)
    return sentences(caught.value)


async def injected(settings: PluginSettings) -> AcmeSettings:
    """Return what a constructor gets."""
    registry = a_registry(settings)
    await registry.open()
    job: Any = registry.bound[BACKUPS].make_job()
    await registry.close()
    assert isinstance(job.settings, AcmeSettings)
    return job.settings


# --- where it comes from ----------------------------------------------------------------------------------------------


async def test_constructors_get_the_settings_of_their_plugin() -> None:
    """By the type of their annotation, like every service; what nobody says has its default."""
    got = await injected(told({"token": "s3cret", "smtp": {"host": "mail"}, "since": date(2026, 1, 2)}))

    assert ("s3cret", 80, "mail", 25) == (got.token.get_secret_value(), got.port, got.smtp.host, got.smtp.port)
    assert date(2026, 1, 2) == got.since
    assert "s3cret" not in repr(got)


async def test_the_environment_goes_before_the_file() -> None:
    """Key by key, in tables too; text becomes what the model wants."""
    variables = {
        TOKEN: "s3cret",
        PORT: "81",
        "MAINSPRING_PLUGINS__ACME__SMTP__PORT": "26",
        "MAINSPRING_PLUGINS__ACME__PATIENCE": "PT5S",
    }
    got = await injected(told({"token": "file", "smtp": {"host": "mail", "port": 1}}, variables))

    assert ("s3cret", 81, "mail", 26) == (got.token.get_secret_value(), got.port, got.smtp.host, got.smtp.port)
    assert timedelta(seconds=5) == got.patience


async def test_a_section_may_stand_in_the_environment_alone() -> None:
    """A container needs no file."""
    assert 81 == (await injected(told(None, {TOKEN: "s3cret", PORT: "81"}))).port


async def test_lists_and_tables_in_a_variable_are_json() -> None:
    """Where the model wants text, JSON stays text: some secrets are JSON."""
    variables = {
        TOKEN: '["s3cret"]',
        PORT: "81",
        "MAINSPRING_PLUGINS__ACME__HOSTS": '["a", "b"]',
        "MAINSPRING_PLUGINS__ACME__SMTP": '{"host": "mail"}',
        "MAINSPRING_PLUGINS__ACME__CREDENTIALS": '{"key": "s3cret"}',
    }
    got = await injected(told(None, variables))

    assert (["a", "b"], "mail") == (got.hosts, got.smtp.host)
    assert '["s3cret"]' == got.token.get_secret_value()
    assert got.credentials is not None
    assert '{"key": "s3cret"}' == got.credentials.get_secret_value()


def test_groups_that_share_settings_share_no_loop() -> None:
    """A value belongs to no loop: a job that blocks its own does not delay all groups of the plugin."""

    def configure(binder: Binder) -> None:
        acme()(binder)
        binder.bind_job(a_job_class(NeedsSettings, JobKey("vps4", "patch")))

    assert 2 == len(a_registry(told({"token": "s3cret"}), configure).scopes)


def test_a_model_may_take_any_key() -> None:
    """If it says so."""

    class Open(AcmeSettings):
        model_config: ClassVar[ConfigDict] = ConfigDict(extra="allow")

    class NeedsOpen(Work):
        def __init__(self, settings: Open) -> None:
            self.settings = settings

    def configure(binder: Binder) -> None:
        binder.bind_settings("acme", Open)
        binder.bind_job(a_job_class(NeedsOpen))

    assert [BACKUPS] == list(a_registry(told({"token": "s3cret", "colour": "red"}), configure).bindings)


def test_sections_of_plugins_that_are_not_here_are_named() -> None:
    """All nodes may have the same file, and not all of them all plugins."""
    registry = a_registry(told({"token": "s3cret"}, {"MAINSPRING_PLUGINS__CRM__URL": "x"}, shop={"colour": "red"}))

    assert ("crm", "shop") == registry.unbound


# --- what is wrong ----------------------------------------------------------------------------------------------------


def test_all_problems_are_told_at_once_and_no_value() -> None:
    """With the key and where it stands, of all plugins, beside what else is wrong with them."""
    table = {"token": "s", "port": 0, "smtp": {"prot": 1}, "tokn": "s3cret", "since": "s3cret"}
    variables = {"MAINSPRING_PLUGINS__ACME__HOSTS": "s3cret", "MAINSPRING_PLUGINS__SHOP__COLOUR__X": "s3cret"}

    def other(binder: Binder) -> None:
        binder.bind_settings("shop", OtherSettings)
        binder.bind_service(Quota)
        binder.bind_service(Quota)

    assert [
        "two: Quota is provided twice",
        "plugins.acme.token (mainspring.toml) is too short",
        "plugins.acme.port (mainspring.toml) must be greater than or equal to 1",
        "plugins.acme.smtp.prot (mainspring.toml) is no setting",
        "plugins.acme.hosts (environment MAINSPRING_PLUGINS__ACME__HOSTS) must be a list",
        "plugins.acme.since (mainspring.toml) must be a date such as 2026-12-24",
        "plugins.acme.tokn (mainspring.toml) is no setting; did you mean token?",
        "plugins.shop.colour (environment MAINSPRING_PLUGINS__SHOP__COLOUR__X) must be text",
    ] == problems(told(table, variables), acme(), other)


def test_what_is_missing_can_be_given_in_two_places() -> None:
    """Also where nobody has said anything."""
    expected = [f"plugins.acme.token (mainspring.toml, or {TOKEN}) is required"]
    assert expected == problems(told())
    assert expected == problems(told({}, {PORT: "81"}))


def test_a_check_of_the_whole_is_told() -> None:
    """What the model says of values together stands at its section."""
    table = {"token": "s3cret", "hosts": ["a"]}
    assert ["plugins.acme (mainspring.toml) hosts need another port"] == problems(told(table))


def test_a_check_without_words_is_named_by_its_model() -> None:
    """Of a key, and of the whole."""

    class Terse(AcmeSettings):
        @field_validator("port")
        @classmethod
        def refuses(cls, port: int) -> int:
            if port == 1:
                raise ValueError
            return port

        @model_validator(mode="after")
        def refuses_all(self) -> Self:
            raise ValueError

    def configure(binder: Binder) -> None:
        binder.bind_settings("acme", Terse)

    assert ["plugins.acme.port (mainspring.toml) is refused by Terse"] == problems(
        told({"token": "s3cret", "port": 1}), configure
    )
    assert ["plugins.acme (mainspring.toml) is refused by Terse"] == problems(told({"token": "s3cret"}), configure)


def test_a_check_that_breaks_is_a_problem_of_the_plugin() -> None:
    """Its words are not repeated: they may say what is secret."""

    class Breaks(AcmeSettings):
        @field_validator("port")
        @classmethod
        def breaks(cls, _port: int) -> int:
            raise KeyError("s3cret")

    class NeedsBreaks(Work):
        def __init__(self, settings: Breaks) -> None:
            self.settings = settings

    def configure(binder: Binder) -> None:
        binder.bind_settings("acme", Breaks)
        binder.bind_job(a_job_class(NeedsBreaks))

    assert ["plugins.acme (mainspring.toml): a check of Breaks failed with KeyError"] == problems(
        told({"token": "s3cret", "port": 1}), configure
    )


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (
            told({"token": "s3cret"}, {"MAINSPRING_PLUGINS__ACME": "s3cret"}),
            f"MAINSPRING_PLUGINS__ACME {NO_SETTING}",
        ),
        (
            told({"token": "s3cret"}, {"MAINSPRING_PLUGINS__acme__port": "1"}),
            f"MAINSPRING_PLUGINS__acme__port {NO_SETTING}",
        ),
        (
            told(
                {"token": "s3cret"},
                {SMTP: "{}", f"{SMTP}__HOST": "x"},
            ),
            f"{SMTP}__HOST (environment) is a part of {SMTP}, which is set too",
        ),
        (
            told({"token": "s3cret"}, colour="red"),
            "plugins.colour (mainspring.toml) is no table; what a plugin is told stands below [plugins.colour]",
        ),
        (
            told({"token": "s3cret"}, Shop={}),
            "plugins.Shop (mainspring.toml) is no name of small letters, digits and single _, other than modules",
        ),
    ],
    ids=["no-key", "small-letters", "part-of-another", "no-table", "capitals"],
)
def test_forms_that_are_wrong(settings: PluginSettings, sentence: str) -> None:
    """What is not even a section with keys is told in the same report."""
    assert [sentence] == problems(settings)


@pytest.mark.parametrize(
    ("configure", "expected"),
    [
        (
            acme(section="Acme"),
            "one: the settings 'Acme' are no name of small letters, digits and single _, other than ",
        ),
        (acme(section="a__b"), "one: the settings 'a__b' are no name of "),
        (acme(section="modules"), "one: the settings 'modules' are no name of "),
        (acme(section=7), "one: the settings 7 are no name of "),
        (acme(model=Quota), "one: the settings 'acme' are bound to Quota, no pydantic model"),
        (acme(model=AcmeSettings(token=SecretStr("s3cret"))), "one: the settings 'acme' are bound to "),
    ],
)
def test_bindings_that_are_wrong(configure: Configure, expected: str) -> None:
    """A mistake of the author is told like every other of a plugin."""
    assert any(line.startswith(expected) for line in problems(told({"token": "s3cret"}), configure))


def test_a_section_has_one_model() -> None:
    """Each would refuse the keys of the other; and a model reads one section."""
    line = "two: the settings 'acme' of OtherSettings are bound to AcmeSettings already"
    settings = told({"token": "s3cret"})
    assert [line] == problems(settings, acme(), lambda binder: binder.bind_settings("acme", OtherSettings))
    twice = problems(settings, acme(), lambda binder: binder.bind_settings("more", AcmeSettings))
    assert "two: AcmeSettings is provided twice" == twice[0]


# --- in tests ---------------------------------------------------------------------------------------------------------


class Told(Work):
    """Fails with what it was told."""

    def __init__(self, settings: AcmeSettings) -> None:
        self.settings = settings

    async def execute(self, context: object) -> None:  # noqa: ARG002
        raise ValueError(f"{self.settings.port} {self.settings.token}")


async def test_a_test_says_what_an_operator_would() -> None:
    """By section, in a scheduler; as an instance of the model, for one job."""

    def configure(binder: Binder) -> None:
        binder.bind_settings("acme", AcmeSettings)
        binder.bind_job(a_job_class(Told, max_attempts=1))

    async with TestScheduler(Module(configure), settings={"acme": {"token": "s3cret", "port": 81}}) as scheduler:
        job = await scheduler.create(*BACKUPS, {"when": "2026-01-01T00:00:00Z"})
        await scheduler.advance(seconds=0)
        assert ["ValueError: 81 **********"] == [run.reason for run in await scheduler.runs(job)]
    settings = AcmeSettings(token=SecretStr("s3cret"), port=82)
    run = await run_job(a_job_class(Told, max_attempts=1), {}, services={AcmeSettings: settings})
    assert (Outcome.FAILED, "ValueError: 82 **********") == (run.outcome, run.reason)


def test_what_a_test_leaves_out_is_told() -> None:
    """The environment is not looked at in a test."""
    with pytest.raises(ConfigError) as caught:
        TestScheduler(Module(acme()))
    assert ["plugins.acme.token (settings of the test) is required"] == sentences(caught.value)


def test_nothing_is_asked_of_plugins_without_settings() -> None:
    """They need no section."""
    assert () == a_registry(told(), binds(a_job_class())).unbound
