"""Jobs without code, as settings declare them: what is legal there, and which targets may be called. Pure."""

from mainspring.declared.addresses import special_purpose
from mainspring.declared.command_job import CommandJob
from mainspring.declared.conflicts import check_entries, conflicts
from mainspring.declared.fields import DeclaredRequest, by_schema, own_fields, request_model
from mainspring.declared.http_job import SEGMENT, HttpJob
from mainspring.declared.secret import SECRET_NAME, Secret
from mainspring.declared.targets import LONGEST_URL, AllowedTargets, Target, TargetError, read_target
from mainspring.declared.templates import filled_in, in_url
from mainspring.declared.webhook import (
    MOST_NAMED,
    WEBHOOK_NAME,
    EventChoice,
    Reach,
    Webhook,
    webhook_from_json,
    webhook_to_json,
)

__all__ = [
    "LONGEST_URL",
    "MOST_NAMED",
    "SECRET_NAME",
    "SEGMENT",
    "WEBHOOK_NAME",
    "AllowedTargets",
    "CommandJob",
    "DeclaredRequest",
    "EventChoice",
    "HttpJob",
    "Reach",
    "Secret",
    "Target",
    "TargetError",
    "Webhook",
    "by_schema",
    "check_entries",
    "conflicts",
    "filled_in",
    "in_url",
    "own_fields",
    "read_target",
    "request_model",
    "special_purpose",
    "webhook_from_json",
    "webhook_to_json",
]
