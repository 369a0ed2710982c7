"""The ways to repeat: one file each. `AnyRule` is the list of them, and `RULES` the table that is made of it.

A rule of another kind is one file here, with a class made like those beside it, and its row in the list. Nothing else
needs to know of it.
"""

from typing import get_args

from mainspring.schedule.rules.any_of import AnyOf
from mainspring.schedule.rules.at import At
from mainspring.schedule.rules.cron import Cron
from mainspring.schedule.rules.every import Every
from mainspring.schedule.rules.rrule import RRule
from mainspring.schedule.rules.rule import Rule

AnyRule = Every | Cron | RRule | At | AnyOf
"""All kinds of rules, in the order in which errors name them."""
RULES: dict[str, type[AnyRule]] = {rule.kind: rule for rule in get_args(AnyRule)}
"""All kinds of rules by the names of their members."""

__all__ = ["RULES", "AnyOf", "AnyRule", "At", "Cron", "Every", "RRule", "Rule"]
