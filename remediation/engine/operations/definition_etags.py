"""Entity tags of definitions: a hash of what users can change, by the API, admin or SQL."""

from __future__ import annotations

import json
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from django.utils.crypto import salted_hmac

from remediation.models import Action, Bucket, BucketStep

LENGTH = 32  # hexadecimal digits


def etag(row: Action | Bucket | BucketStep) -> str:
    """Return the strong entity tag of a row, in quotes.

    The tag of a bucket covers its steps and the names of their actions. Results of checks and
    times are not covered, so that workers do not invalidate the tag that a user has read.
    """
    content = _columns(row)
    if isinstance(row, Bucket):
        steps = sorted(row.steps.all(), key=lambda step: (step.step_order, step.pk))
        content["steps"] = [_columns(step) | {"action": step.action.name} for step in steps]
    if isinstance(row, BucketStep):
        content["action"] = row.action.name
    text = json.dumps(content, sort_keys=True, cls=DjangoJSONEncoder)
    # With a key, so that a reader who sees masked values cannot test guesses against the tag.
    digest = salted_hmac("remediation.definition_etags", text, algorithm="sha256").hexdigest()
    return f'"{digest[:LENGTH]}"'


def _columns(row: Action | Bucket | BucketStep) -> dict[str, Any]:
    return {
        field.attname: getattr(row, field.attname)
        for field in row._meta.concrete_fields
        if field.editable
    }
