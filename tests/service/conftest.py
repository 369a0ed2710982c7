"""Fixtures of the node, for use cases that need one."""

from tests.node.conftest import postgres_schema, world

__all__ = ["postgres_schema", "world"]
