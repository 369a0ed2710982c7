from datetime import timedelta

import pytest
from mainspring_vps4.settings import read_settings

from mainspring.errors import ConfigError


@pytest.fixture(autouse=True)
def _empty_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("API_URL", "API_TIMEOUT", "POSTPONE_MINIMUM", "POSTPONE_MAXIMUM", "BACKUPS_PER_MINUTE"):
        monkeypatch.delenv(f"VPS4_{name}", raising=False)


def test_defaults() -> None:
    """Without a word from the operator the plugin talks to this machine and postpones by 20 ± 10 minutes."""
    settings = read_settings()
    assert str(settings.api_url) == "http://127.0.0.1:8090/"
    assert (timedelta(minutes=10), timedelta(minutes=30)) == (settings.postpone_minimum, settings.postpone_maximum)
    assert settings.backups_per_minute == 30


def test_environment_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each setting has its variable."""
    monkeypatch.setenv("VPS4_API_URL", "https://vps4.example/")
    monkeypatch.setenv("VPS4_POSTPONE_MINIMUM", "PT2S")
    monkeypatch.setenv("VPS4_POSTPONE_MAXIMUM", "PT2S")
    monkeypatch.setenv("VPS4_BACKUPS_PER_MINUTE", "5")
    settings = read_settings()
    assert str(settings.api_url) == "https://vps4.example/"
    assert (timedelta(seconds=2), timedelta(seconds=2)) == (settings.postpone_minimum, settings.postpone_maximum)
    assert settings.backups_per_minute == 5


def test_all_nonsense_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The operator reads one message that names every variable that is wrong."""
    monkeypatch.setenv("VPS4_POSTPONE_MINIMUM", "ten minutes")
    monkeypatch.setenv("VPS4_BACKUPS_PER_MINUTE", "0")
    with pytest.raises(ConfigError) as error:
        read_settings()
    expected = (
        "VPS4_POSTPONE_MINIMUM: is not an ISO 8601 duration such as PT15M or P1D; "
        "VPS4_BACKUPS_PER_MINUTE: Input should be greater than or equal to 1"
    )
    assert expected == str(error.value)


def test_bounds_must_be_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """A shortest time that is longer than the longest is nonsense too."""
    monkeypatch.setenv("VPS4_POSTPONE_MINIMUM", "PT1H")
    with pytest.raises(ConfigError) as error:
        read_settings()
    assert str(error.value) == "VPS4_POSTPONE_MINIMUM is longer than VPS4_POSTPONE_MAXIMUM"
