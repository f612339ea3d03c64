"""The format of ``ActionExecution.inquiries``: one object per open inquiry, secrets masked."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from remediation.engine.secret_values import masked
from remediation.redaction import MASK, is_secret_name
from remediation.stackstorm import Inquiry

STORED_MAX = 20  # inquiries of one execution
SCHEMA_BYTES_MAX = 20_000
SCHEMA_DEPTH_MAX = 8


def as_stored(inquiries: Iterable[Inquiry]) -> list[dict[str, Any]]:
    """Return the first STORED_MAX inquiries as ``ActionExecution.inquiries`` stores them."""
    return [
        stored_inquiry(
            one.id,
            task=one.task_name,
            workflow_id=one.workflow_id,
            route=one.route,
            ttl_minutes=one.ttl_minutes,
            users=list(one.users),
            roles=list(one.roles),
            asked_at=one.asked_at.isoformat() if one.asked_at else None,
            schema=masked_schema(one.schema),
        )
        for one in list(inquiries)[:STORED_MAX]
    ]


def stored_inquiry(inquiry_id: str, **known: Any) -> dict[str, Any]:
    """Return one inquiry in the stored format; fields that are not ``known`` are empty."""
    empty: dict[str, Any] = {
        "task": "",
        "workflow_id": "",
        "route": "",
        "ttl_minutes": None,
        "users": [],
        "roles": [],
        "asked_at": None,
        "schema": {},
    }
    return {"id": inquiry_id, **empty, **known}


def masked_schema(schema: Mapping[str, object]) -> dict[str, Any]:
    """Return a schema without secrets, or an empty one if it is too large."""
    shown = _masked_level(schema, depth=0)
    return shown if len(json.dumps(shown).encode()) <= SCHEMA_BYTES_MAX else {}


def _masked_level(schema: Mapping[str, object], *, depth: int) -> dict[str, Any]:
    if depth > SCHEMA_DEPTH_MAX:
        return {}
    # Properties are masked one by one: masking by name would hide the description as well.
    shown: dict[str, Any] = masked(
        {name: value for name, value in schema.items() if name != "properties"}
    )
    properties = schema.get("properties")
    if isinstance(properties, Mapping):
        shown["properties"] = {
            name: _masked_property(name, value, depth=depth + 1)
            for name, value in properties.items()
        }
    return shown


def _masked_property(name: str, value: object, *, depth: int) -> Any:
    if not isinstance(value, Mapping):
        return masked(value)
    shown = _masked_level(value, depth=depth)
    if is_secret_name(name) or value.get("secret"):
        shown |= {key: MASK for key in ("default", "enum", "const", "examples") if key in shown}
    return shown
