"""How jobs without code run: calls by HTTP that cannot be led astray, and programs of which nothing is left over."""

from mainspring.execution.declared.delivery import WebhooksModule
from mainspring.execution.declared.module import DeclaredModule, load_all

__all__ = ["DeclaredModule", "WebhooksModule", "load_all"]
