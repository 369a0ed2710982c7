from typing import Any

import pytest

from mainspring.schedule import trigger_from_json

AT = {"start": "2026-12-01T10:00:00Z", "timeZone": "UTC"}


@pytest.mark.parametrize("rule", [{"sunrise": "Berlin"}, {"anyOf": [{"cron": "0 3 * * *"}, {"sunrise": "Berlin"}]}, {}])
def test_unknown_kind_is_an_error(rule: dict[str, Any]) -> None:
    """A trigger that another version stored, with a kind of rule that is not known here, is not read as another one."""
    with pytest.raises(ValueError, match="no known kind of rule"):
        trigger_from_json(rule | AT)
