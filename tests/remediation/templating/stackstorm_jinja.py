"""Render the parameters of a POST as StackStorm does, following st2common/util/param.py."""

import json

import jinja2

DATASTORE = {"system": {"key": "THE SECRET", "other": "OTHER"}}
ENVIRONMENT = jinja2.Environment(  # noqa: S701 - StackStorm renders no HTML
    undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
)
ENVIRONMENT.filters["decrypt_kv"] = lambda value: f"decrypted {value}"


def stackstorm_renders(parameters: dict[str, object]) -> dict[str, object]:
    """Return the parameters that an action receives."""
    return {name: _render(value) for name, value in parameters.items()}


def _render(value: object) -> object:
    text = str(value) if isinstance(value, dict | list) else value
    if not isinstance(text, str) or not ("{{" in text or "{%" in text):
        return value
    try:
        ENVIRONMENT.parse(text)
    except jinja2.TemplateSyntaxError:
        return value
    if isinstance(value, str):
        return ENVIRONMENT.from_string(value).render(st2kv=DATASTORE)
    return json.loads(ENVIRONMENT.from_string(json.dumps(value)).render(st2kv=DATASTORE))
