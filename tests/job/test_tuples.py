"""Quick ways to make tuples do what their plain twins do."""

from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainspring.job import Job, Run
from mainspring.job.tuples import changer, maker
from tests.drawn import jobs, runs


class Pair(NamedTuple):
    left: int
    right: int = 2


@given(st.data(), jobs | runs)
def test_changed_tuple_is_that_of_replace(data: st.DataObject, fact: Job | Run) -> None:
    """Whatever fields are given, in whatever order."""
    kind: Any = type(fact)
    names = data.draw(st.lists(st.sampled_from(fact._fields), unique=True))
    other = data.draw(jobs if kind is Job else runs)
    values = [getattr(other, name) for name in names]

    changed = changer(kind, *names)(fact, *values)

    assert type(changed) is kind
    assert fact._replace(**dict(zip(names, values, strict=True))) == changed


@given(st.data(), jobs | runs)
def test_made_tuple_is_that_of_the_constructor(data: st.DataObject, fact: Job | Run) -> None:
    """Fields that are not given have their defaults."""
    kind: Any = type(fact)
    optional = data.draw(st.lists(st.sampled_from(sorted(kind._field_defaults)), unique=True))
    names = [*(name for name in kind._fields if name not in kind._field_defaults), *optional]
    values = [getattr(fact, name) for name in names]

    made = maker(kind, *names)(*values)

    assert type(made) is kind
    assert kind(**dict(zip(names, values, strict=True))) == made


def test_what_is_no_field_is_refused() -> None:
    """At import, not when it is called."""
    with pytest.raises(TypeError, match="Pair has no middle"):
        changer(Pair, "middle")
    with pytest.raises(TypeError, match="Pair has no middle"):
        maker(Pair, "left", "middle")
    with pytest.raises(TypeError, match="Pair needs left"):
        maker(Pair, "right")
