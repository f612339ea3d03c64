"""The variables of a template: JSON values with their path."""

from collections.abc import Mapping

ALERT_ATTRIBUTES = (
    "instance",
    "alert_name",
    "severity",
    "status",
    "fingerprint",
    "starts_at",
    "labels",
    "annotations",
    "generator_url",
    "ends_at",
    "receiver",
    "external_url",
    "group_labels",
    "values",
)
ROOTS = frozenset({"alert", "bucket", "config", "parameters", "run", "steps"})
DATASTORE = "st2kv"


class Variables(dict[str, object]):
    """An object whose members are accessed by name; ``path`` is used in errors."""

    __slots__ = ("path",)

    def __init__(self, path: str, values: Mapping[str, object]) -> None:
        super().__init__(values)
        self.path = path


class VariableList(list[object]):
    """A list with its path."""

    __slots__ = ("path",)

    def __init__(self, path: str, values: list[object]) -> None:
        super().__init__(values)
        self.path = path


def wrap(value: object, path: str) -> object:
    """Return ``value`` with its path.

    Copies one level, so that templates cannot change the original.
    """
    if isinstance(value, dict):
        return Variables(path, value)
    if isinstance(value, list):
        return VariableList(path, value)
    return value


def member_path(container: object, key: object) -> str:
    """Return the path of a member. Loop variables have no path, so theirs is the member's name."""
    path = getattr(container, "path", "")
    if isinstance(key, int):
        return f"{path}[{key}]"
    return f"{path}.{key}" if path else str(key)


def template_context(variables: Mapping[str, object]) -> dict[str, object]:
    """Return the variables in the form that templates use."""
    return {name: wrap(value, name) for name, value in variables.items()}
