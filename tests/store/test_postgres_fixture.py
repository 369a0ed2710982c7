import psycopg


def test_server_answers(postgres_url: str) -> None:
    """There is a server behind the fixture."""
    with psycopg.connect(postgres_url) as connection:
        assert connection.execute("select 1").fetchone() == (1,)


def test_server_keeps_what_it_acknowledged(postgres_url: str) -> None:
    """What tests find out about crashes is worth nothing on a server that does not sync."""
    with psycopg.connect(postgres_url) as connection:
        assert connection.execute("show fsync").fetchone() == ("on",)
