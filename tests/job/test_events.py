from mainspring.job import Events, NodeLost, NodeStarted, NodeStopped
from mainspring.job.events import Event


def test_those_who_listen_are_told_in_their_order() -> None:
    """Each subscriber hears of each fact of its kind, from its subscription on, in the order of subscribing."""
    events = Events()
    has_subscribers: list[tuple[str, Event]] = []
    events.announce(NodeStopped("early"))
    events.subscribe(NodeStopped, lambda event: has_subscribers.append(("one", event)))
    events.subscribe(NodeStopped, lambda event: has_subscribers.append(("other", event)))
    events.announce(NodeStopped("late"))
    assert [("one", NodeStopped("late")), ("other", NodeStopped("late"))] == has_subscribers


def test_only_what_is_listened_for_is_heard() -> None:
    """A fact of another kind is not told, even if it looks the same."""
    events = Events()
    has_subscribers: list[Event] = []
    events.subscribe(NodeStopped, has_subscribers.append)
    events.announce(NodeLost("n", "silent"))
    events.announce(NodeStarted("n", ()))
    assert [] == has_subscribers
    events.announce(NodeStopped("n"))
    assert [NodeStopped] == [type(event) for event in has_subscribers]


def test_a_subscriber_that_raises_harms_nobody() -> None:
    """Neither the announcer nor the other subscribers notice."""
    events = Events()
    has_subscribers: list[Event] = []

    def raises(_event: NodeStopped) -> None:
        raise RuntimeError("the log's disk is full")

    events.subscribe(NodeStopped, raises)
    events.subscribe(NodeStopped, has_subscribers.append)
    events.announce(NodeStopped("n"))
    assert [NodeStopped("n")] == has_subscribers
