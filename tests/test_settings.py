"""Settings: which source wins, what is said about what is wrong, and that the documentation is in step."""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError

from mainspring.errors import ConfigError
from mainspring.job import Limit, Limits, Quota, Rate, Retention, Scope
from mainspring.schedule import calendar_from_json
from mainspring.settings import TABLE, Settings, load_settings, masked

DOCS = Path(__file__).parents[1] / "docs" / "configuration.md"


@pytest.fixture(autouse=True)
def working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every test has a working directory of its own."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def load(
    flags: Mapping[str, object] | None = None,
    environ: Mapping[str, str] | None = None,
    toml: str | None = None,
    config: Path | None = None,
) -> Settings:
    """Load settings from these sources and no others."""
    if toml is not None:
        Path("mainspring.toml").write_text(toml, "utf-8")
    return load_settings(flags or {}, environ=environ or {}, config=config)


def problems(
    flags: Mapping[str, object] | None = None, environ: Mapping[str, str] | None = None, toml: str | None = None
) -> list[str]:
    """Load settings that are wrong, and return the lines that say so."""
    with pytest.raises(ConfigError) as caught:
        load(flags, environ, toml)
    title, *lines = str(caught.value).splitlines()
    assert title == "The settings are not right:"
    return [line.strip() for line in lines]


# --- which source wins ------------------------------------------------------------------------------------------------


def test_nothing_given_gives_the_defaults() -> None:
    """Mainspring runs without any configuration."""
    settings = load()

    assert settings == Settings()
    assert (settings.store, settings.port, settings.lease) == ("sqlite:///mainspring.db", 8089, timedelta(seconds=10))


def test_flag_wins_over_environment_wins_over_file() -> None:
    """The nearer to the command, the stronger; what a source does not name comes from the next."""
    settings = load(
        {"port": "1"}, {"MAINSPRING_PORT": "2", "MAINSPRING_SLOTS": "2"}, "port = 3\nslots = 3\nthreads = 3\n"
    )

    assert (settings.port, settings.slots, settings.threads) == (1, 2, 3)


def test_flag_that_is_not_given_leaves_the_setting_to_others() -> None:
    """`None` is how a command says that it did not get a flag."""
    assert load({"port": None}, {"MAINSPRING_PORT": "2"}).port == 2


def test_overridden_value_is_not_judged() -> None:
    """What does not count does no harm."""
    assert load({"port": "1"}, {"MAINSPRING_PORT": "many"}).port == 1


def test_named_file_takes_the_place_of_the_default(tmp_path: Path) -> None:
    """``--config`` wins over MAINSPRING_CONFIG, which wins over mainspring.toml."""
    first, second = tmp_path / "first.toml", tmp_path / "second.toml"
    first.write_text("port = 1")
    second.write_text("port = 2")
    environ = {"MAINSPRING_CONFIG": str(second)}

    assert load({}, environ, "port = 3", config=first).port == 1
    assert load({}, environ, "port = 3").port == 2
    assert load({}, {}, "port = 3").port == 3
    assert load({}, {"MAINSPRING_CONFIG": ""}, "port = 3").port == 3


def test_environment_of_the_process_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an argument the environment is the process's own."""
    monkeypatch.setenv("MAINSPRING_PORT", "4321")

    assert load_settings({}).port == 4321


@pytest.mark.parametrize("name", ["MAINSPRING_TEST_PG_URL", "MAINSPRING_URL", "PATH"])
def test_other_variables_are_not_ours(name: str) -> None:
    """Variables of tests, of clients and of other programs are left alone."""
    assert load({}, {name: "x"}) == Settings()


# --- what is legal ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    ["a:B, c.d:E.F", '["a:B", "c.d:E.F"]', " a:B ,c.d:E.F,", ' [ "a:B","c.d:E.F" ]'],
    ids=["list", "json", "sloppy", "spaced"],
)
def test_plugins_in_the_environment(text: str) -> None:
    """A variable holds a list with commas, or a JSON array."""
    assert load({}, {"MAINSPRING_PLUGINS": text}).plugins == ("a:B", "c.d:E.F")


def test_plugins_in_other_sources() -> None:
    """Flags and file have lists of their own; sources are not added up."""
    assert load({}, {}, 'plugins = ["a:B"]').plugins == ("a:B",)
    assert load({"plugins": ["c:D", "e:F"]}, {"MAINSPRING_PLUGINS": "a:B"}).plugins == ("c:D", "e:F")
    assert load({}, {"MAINSPRING_PLUGINS": ""}, 'plugins = ["a:B"]').plugins == ()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("scheduler.example.com, 10.0.0.7,::1", ("scheduler.example.com", "10.0.0.7", "::1")),
        ('["a_b", "fe80::1%eth0"]', ("a_b", "fe80::1%eth0")),
        ("", ()),
    ],
)
def test_hosts_of_the_flag_and_the_environment(text: str, expected: tuple[str, ...]) -> None:
    """A list with commas, or a JSON array; the file has an array of its own."""
    assert load({}, {"MAINSPRING_ALLOWED_HOSTS": text}, 'allowed_hosts = ["x"]').allowed_hosts == expected
    assert load({"allowed_hosts": text}, {"MAINSPRING_ALLOWED_HOSTS": "x"}).allowed_hosts == expected
    assert load({}, {}, f"allowed_hosts = {list(expected)}").allowed_hosts == expected


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("*", "'*'"),
        ("a.example,*.example.com", "'*.example.com'"),
        ("a.example:8089", "'a.example:8089'"),
        ("http://a.example", "'http://a.example'"),
        ("[::1]", "'[::1]'"),
        (["a", 7], "7"),
        (".example.com", "'.example.com'"),
        ("b\xfccher.example", "'b\xfccher.example'"),
        (True, "True"),
    ],
)
def test_illegal_hosts_are_named(value: object, shown: str) -> None:
    """Also what a browser would never send as its host."""
    words = "a list of host names and IP addresses, without ports and brackets"

    assert problems({"allowed_hosts": value}) == [f"allowed_hosts: {shown} (flag --allowed-hosts) is not {words}"]


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("store", "memory:", "memory:"),
        ("store", "memory", "memory"),
        ("store", "postgres://h/d", "postgres://h/d"),
        ("store", "sqlite:////var/lib/jobs.db", "sqlite:////var/lib/jobs.db"),
        ("store", "postgresql://u:p@h:5432/d?sslmode=require", "postgresql://u:p@h:5432/d?sslmode=require"),
        ("host", "::1", "::1"),
        ("port", "0", 0),
        ("port", 65535, 65535),
        ("node", "n" * 64, "n" * 64),
        ("lease", "PT2S", timedelta(seconds=2)),
        ("lease", "PT1H", timedelta(hours=1)),
        ("poll", "PT0.01S", timedelta(milliseconds=10)),
        ("grace", "PT0S", timedelta()),
        ("retention", "PT1H", timedelta(hours=1)),
        ("log_level", "debug", "debug"),
        ("log_format", "json", "json"),
        ("worker_environment", "HTTPS_PROXY, AWS_*", ("HTTPS_PROXY", "AWS_*")),
    ],
)
def test_legal_values(name: str, value: object, expected: object) -> None:
    """The limits themselves are legal."""
    assert getattr(load({name: value}), name) == expected


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("host", ""),
        ("host", "http://h"),
        ("port", "-1"),
        ("port", 65536),
        ("port", True),
        ("port", 80.0),
        ("port", " 80"),
        ("node", "n" * 65),
        ("node", "a b"),
        ("slots", "0"),
        ("slots", "100001"),
        ("threads", "1001"),
        ("lease", "PT1.999999S"),
        ("lease", "PT1H0.000001S"),
        ("grace", 10),
        ("lease", "10"),
        ("poll", "PT0S"),
        ("grace", "P1M"),
        ("retention", "PT59M"),
        ("log_level", "INFO"),
        ("log_format", "xml"),
        ("worker_environment", "*"),
        ("worker_environment", "A-B"),
        ("worker_environment", "A=b"),
    ],
)
def test_illegal_values(name: str, value: object) -> None:
    """One past the limit is illegal, and so is another type; the sentence tells value, source and what is legal."""
    row = TABLE[name]

    assert problems({name: value}) == [f"{name}: {value!r} (flag {row.flag}) is not {row.legal}"]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("postgress://u:hunter2@h/d", "'postgress://...'"),
        ("mysql://u:hunter2@h/d", "'mysql://...'"),
        ("sqlite:///:memory:", "'sqlite://...'"),
        ("host=h password=hunter2", "the address"),
        ("", "the address"),
        (7, "the address"),
    ],
)
def test_illegal_store_is_not_repeated(value: object, shown: str) -> None:
    """An address that was refused may hold a password anywhere."""
    expected = f"store: {shown} (flag --store) is not memory:, sqlite:///path or postgresql://user@host/database"

    assert problems({"store": value}) == [expected]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (["a:B", "vps4", "c:"], "'vps4', 'c:'"),
        ('["a:B", 7]', "7"),
        ('["a:B"', """'["a:B"'"""),
        (7, "7"),
        (".a:B", "'.a:B'"),
        ("x" * 200, "'" + "x" * 76 + "..."),
    ],
)
def test_illegal_plugins_are_named(value: object, shown: str) -> None:
    """Of a list only the entries that are wrong are repeated, and nothing at length."""
    assert problems({"plugins": value}) == [
        f"plugins: {shown} (flag --plugin) is not a list of package.module:ClassName"
    ]


# --- what is wrong ----------------------------------------------------------------------------------------------------


def test_all_problems_are_told_at_once() -> None:
    """One start is enough to learn everything; each problem names its source."""
    found = problems(
        {"port": "eighty"}, {"MAINSPRING_SLOT": "9", "MAINSPRING_LEASE": "10s"}, 'polls = 1\ngrace = "soon"\n'
    )

    assert found == [
        "polls (mainspring.toml) is no setting; did you mean poll?",
        "MAINSPRING_SLOT (environment) is no setting; did you mean MAINSPRING_SLOTS?",
        "grace: 'soon' (mainspring.toml) is not an ISO 8601 duration from PT0S to PT1H",
        "lease: '10s' (environment MAINSPRING_LEASE) is not an ISO 8601 duration from PT2S to PT1H",
        "port: 'eighty' (flag --port) is not a whole number from 0 to 65535",
    ]


@pytest.mark.parametrize(
    ("key", "meant"), [("log-level", "log_level"), ("LOG_LEVEL", "log_level"), ("plugin", "plugins")]
)
def test_unknown_key_of_the_file(key: str, meant: str) -> None:
    """The likeliest setting is suggested, also for another spelling."""
    assert problems(toml=f"{key} = 1") == [f"{key} (mainspring.toml) is no setting; did you mean {meant}?"]


def test_unknown_flag() -> None:
    """A program that calls with a wrong name hears of it, too."""
    assert problems({"prot": 1}) == ["--prot (flag) is no setting; did you mean --port?"]


def test_unknown_key_that_is_like_no_other() -> None:
    """Where nothing is near, all settings are named."""
    (sentence,) = problems({}, {"MAINSPRING_DATABASE_CONNECTION": "x"})

    everything = ", ".join(row.env for row in TABLE.values())
    expected = (
        f"MAINSPRING_DATABASE_CONNECTION (environment) is no setting; the settings are {everything}, "
        "and MAINSPRING_PLUGINS__NAME__KEY for those of a plugin"
    )
    assert sentence == expected


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (
            b"port = 1\nslots 2\n",
            "mainspring.toml is not TOML: Expected '=' after a key in a key/value pair (at line 2, column 7)",
        ),
        (b"port = 1\n\nnode = '\xff'\n", "mainspring.toml is not TOML: line 3 is not UTF-8"),
    ],
)
def test_malformed_file(tmp_path: Path, content: bytes, sentence: str) -> None:
    """The line is named, and problems of other sources are told all the same."""
    (tmp_path / "mainspring.toml").write_bytes(content)

    assert problems({"port": "x"}) == [sentence, "port: 'x' (flag --port) is not a whole number from 0 to 65535"]


def test_named_file_must_exist() -> None:
    """A file that somebody named is not optional."""
    assert problems({}, {"MAINSPRING_CONFIG": "no.toml"}) == ["no.toml does not exist (environment MAINSPRING_CONFIG)"]
    with pytest.raises(ConfigError, match=r"no\.toml does not exist \(flag --config\)"):
        load(config=Path("no.toml"))


def test_file_that_cannot_be_read(tmp_path: Path) -> None:
    """What the system says is passed on in words."""
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        load(config=tmp_path)


# --- secrets and values -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://u:hunter2@h/d", "postgresql://u:***@h/d"),
        ("postgresql://u:hun/ter@2@h/d", "postgresql://u:***"),
        ("postgresql://u:hun?ter2@h/d", "postgresql://u:***"),
        ("postgresql://u:hunter2", "postgresql://u:***"),
        ("postgresql://u@corp:hunter2@h/d", "postgresql://***"),
        ("postgresql://:hunter2@h/d", "postgresql://:***@h/d"),
        ("postgresql://h/d?user=u&password=hunt&er2&sslmode=require", "postgresql://h/d?user=u&***"),
        ("postgresql://h/d?passwrod=hunter2", "postgresql://h/d?***"),
        ("postgresql://h/d?host=h&p%61ssword=hunter2", "postgresql://h/d?host=h&***"),
        ("postgresql://u:hunter2@[::1]:5433,b/d?sslmode=require", "postgresql://u:***@[::1]:5433,b/d?sslmode=require"),
        ("postgresql://u@h/d", "postgresql://u@h/d"),
        ("sqlite:///a:b@c.db", "sqlite:///a:b@c.db"),
        ("http://u:hunter2@h:8089", "http://u:***@h:8089"),
        ("http://h:8089/x?password=hun&ter2", "http://h:8089/x?password=***"),
    ],
)
def test_password_is_masked(url: str, shown: str) -> None:
    """Addresses may be printed without their password."""
    assert masked(url) == shown


def test_settings_do_not_show_the_password() -> None:
    """Neither printing the settings nor a failed check shows it."""
    settings = load({"store": "postgresql://u:hunter2@h/d"})

    assert settings.store_shown == "postgresql://u:***@h/d"
    assert "hunter2" not in f"{settings!r} {settings}"
    with pytest.raises(ValidationError) as caught:
        Settings(store="mysql://u:hunter2@h/d")
    assert "hunter2" not in str(caught.value)


def test_settings_are_frozen() -> None:
    """Nobody changes the settings of a running process."""
    with pytest.raises(ValidationError, match="frozen"):
        load().port = 1  # type: ignore[misc]


@pytest.mark.parametrize(("host", "node"), [("my host.local", "my-host.local"), ("h" * 70, "h" * 64), ("", "node")])
def test_node_is_named_after_its_machine(host: str, node: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The name is legal whatever the machine is called."""
    monkeypatch.setattr("socket.gethostname", lambda: host)

    assert load().node == node


# --- in step ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("row", TABLE.values(), ids=lambda row: row.name)
def test_docs_tell_every_setting(row: tuple[str, ...]) -> None:
    """The documentation has a row for every setting, with its default, variable, flag, meaning and what is legal."""
    name, env, flag, default, legal, description = row
    lines = DOCS.read_text("utf-8").splitlines()

    assert f"| `{name}` | {default} | `{env}` | `{flag}` | {description}: {legal} |" in lines


def test_docs_tell_no_other_setting() -> None:
    """What was a setting once does not stay in the documentation."""
    rows = [line for line in DOCS.read_text("utf-8").splitlines() if line.startswith("| `")]

    assert [row.split("`")[1] for row in rows] == list(TABLE)


# --- calendars --------------------------------------------------------------------------------------------------------


def test_calendars_are_tables_of_the_file() -> None:
    """A day may be written as TOML has days, or as text."""
    toml = (
        '[calendars.freeze]\ndates = [2026-12-24, "2026-12-31"]\ntimeZone = "Europe/Berlin"\n'
        '[calendars."n.1"]\nweekly = [{days = ["SA"], start = "22:00"}]\n'
    )
    calendars = {
        "freeze": calendar_from_json({"dates": ["2026-12-24", "2026-12-31"], "timeZone": "Europe/Berlin"}),
        "n.1": calendar_from_json({"weekly": [{"days": ["SA"], "start": "22:00"}]}),
    }

    assert calendars == load(toml=toml).calendars
    assert {} == load(toml="").calendars


@pytest.mark.parametrize(
    ("toml", "line"),
    [
        ("[calendars.a]\ndates = [2026-12-24T10:00:00]", "calendars.a.dates.0 (FILE) "),
        ("[calendars.a]\ndays = 1", "calendars.a.days (FILE) is not a field of a calendar"),
        ("[calendars.a]\nweekly = [{days = ['SA'], end = 18:00:00}]", "calendars.a.weekly.0.end (FILE) must be text"),
        ("[calendars]\na = 1", "calendars.a (FILE) must be an object"),
        ("calendars = 1", "calendars (FILE) must be an object"),
        ("[calendars.' a']", "calendars. a (FILE) must match pattern"),
    ],
)
def test_illegal_calendars(toml: str, line: str) -> None:
    """Each fault is told with its place."""
    (told,) = problems(toml=toml)

    assert told.startswith(line.replace("FILE", "mainspring.toml"))


def test_calendars_stand_in_the_file_only() -> None:
    """There is no variable and no flag for them."""
    assert ["MAINSPRING_CALENDARS"] == [told.split()[0] for told in problems(environ={"MAINSPRING_CALENDARS": "{}"})]


# --- retention --------------------------------------------------------------------------------------------------------


def test_groups_and_products_have_their_own_retention() -> None:
    """As a table, or as a duration; what has none has the usual one."""
    toml = '[retention]\ndefault = "P10D"\nvps4 = "P7D"\n[retention."vps4/backups"]\nkeep = "PT12H"\n'
    scopes = {Scope("vps4"): timedelta(days=7), Scope("vps4", "backups"): timedelta(hours=12)}

    assert Retention(timedelta(days=10), scopes) == load(toml=toml).history
    assert Retention(timedelta(days=30), scopes) == load(toml=toml.replace('default = "P10D"\n', "")).history
    assert Retention(timedelta(days=3)) == load(toml='retention = "P3D"').history


@pytest.mark.parametrize(
    ("toml", "problem"),
    [
        ('[retention]\nvps4 = "PT1M"', "retention.vps4 (FILE) is not an ISO 8601 duration from PT1H to P3653D"),
        ('[retention.vps4]\nkept = "P1D"', "retention.vps4 (FILE) is not an ISO 8601 duration from PT1H to P3653D"),
        ('[retention]\n"a b" = "P1D"', "retention.a b (FILE) must be a product such as vps4"),
        ('[retention]\ndefault = "x"', "retention: 'x' (FILE) is not an ISO 8601 duration"),
    ],
)
def test_what_is_wrong_with_a_retention_is_told(toml: str, problem: str) -> None:
    """With its place, and what is legal."""
    [line] = problems(toml=toml)
    assert line.startswith(problem.replace("FILE", "mainspring.toml"))


# --- limits -----------------------------------------------------------------------------------------------------------


def test_limits_are_tables_of_the_file() -> None:
    """Of a job group, and of a product."""
    toml = (
        '[limits."vps4/backups"]\nconcurrency = [{limit = 5}, {limit = 1, by = "key"}]\n'
        '[limits.vps4]\nrates = [{limit = 100, per = "PT1M"}]\nquota = {pending = 9, createsPerMinute = 6}\n'
    )
    limits = {
        "vps4/backups": Limits.of([Limit(5), Limit(1, by="key")]),
        "vps4": Limits.of([Rate(100, per=timedelta(minutes=1)), Quota(pending=9, creates_per_minute=6)]),
    }

    assert limits == load(toml=toml).limits
    assert {} == load(toml="").limits


@pytest.mark.parametrize(
    ("toml", "line"),
    [
        ('[limits."a/b"]\nconcurrency = [{limit = 0}]', "limits.a/b.concurrency.0.limit (FILE) must be greater than"),
        ("[limits.a]\nrate = []", "limits.a.rate (FILE) is not a field of the limits"),
        (
            '[limits.a]\nrates = [{limit = 5, per = "PT0.1S"}]',
            "limits.a.rates.0.per (FILE) must be greater than or equal",
        ),
        ("limits = 1", "limits (FILE) must be an object"),
        ('[limits."a/b/c"]', "limits.a/b/c (FILE) must be a product such as vps4, or a job group such as vps4/backups"),
        ('[limits."a "]', "limits.a  (FILE) must be a product such as"),
        (
            "[limit.a]\nrates = []",
            "limit (FILE) is no setting; did you mean limits? The settings of a plugin stand below",
        ),
    ],
)
def test_illegal_limits(toml: str, line: str) -> None:
    """Each fault is told with its place."""
    (told,) = problems(toml=toml)

    assert told.startswith(line.replace("FILE", "mainspring.toml"))


# --- what plugins are told --------------------------------------------------------------------------------------------


def test_tables_of_plugins_are_kept_beside_the_list() -> None:
    """A file has a list of plugins, or tables below ``[plugins]``, in which the list is called modules."""
    told = load({}, {}, '[plugins]\nmodules = ["a:B"]\n[plugins.acme]\nport = 7\n')

    assert (told.plugins, told.plugin_settings.tables) == (("a:B",), {"acme": {"port": 7}})
    assert load({"plugins": ["c:D"]}, {}, "[plugins.acme]\nport = 7\n").plugins == ("c:D",)
    assert load({}, {}, 'plugins = ["a:B"]\n').plugin_settings.tables == {}


def test_variables_of_plugins_are_kept() -> None:
    """They are no settings of Mainspring, and the list of plugins has a variable of its own."""
    environ = {"MAINSPRING_PLUGINS": "a:B", "MAINSPRING_PLUGINS__ACME__PORT": "7", "ACME": "x"}
    told = load({}, environ)

    assert (told.plugins, told.plugin_settings.variables) == (("a:B",), {"MAINSPRING_PLUGINS__ACME__PORT": "7"})


def test_settings_do_not_show_what_plugins_are_told() -> None:
    """It may be secret."""
    told = load({}, {"MAINSPRING_PLUGINS__ACME__TOKEN": "s3cret"}, '[plugins.acme]\nkey = "s3cret"\n')

    assert "s3cret" not in f"{told!r} {told}"


@pytest.mark.parametrize(
    ("toml", "line"),
    [
        (
            'plugins = ["a:B"]\n[plugins.acme]\nport = 7\n',
            "; beside [plugins.NAME] write the list of plugins as modules = [...] below [plugins]",
        ),
        ("[plugins]\nmodules = 7\n", "plugins: 7 (mainspring.toml) is not a list of package.module:ClassName"),
        (
            "[acme]\nport = 7\n",
            "acme (mainspring.toml) is no setting; the settings of a plugin stand below [plugins.acme]",
        ),
    ],
)
def test_tables_of_plugins_that_are_wrong(toml: str, line: str) -> None:
    """What is nearly right is answered with what is."""
    (sentence,) = problems({}, {}, toml)
    assert sentence.endswith(line)
