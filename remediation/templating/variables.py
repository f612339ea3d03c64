"""The variables of a template: JSON values that know their path."""

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
    """An object whose members are looked up by name alone; ``path`` is what an error says."""

    __slots__ = ("path",)

    def __init__(self, path: str, values: Mapping[str, object]) -> None:
        super().__init__(values)
        self.path = path


class VariableList(list[object]):
    """A list that knows its path."""

    __slots__ = ("path",)

    def __init__(self, path: str, values: list[object]) -> None:
        super().__init__(values)
        self.path = path


def wrap(value: object, path: str) -> object:
    """Return ``value`` knowing its path; copies one level, so nothing can be changed through it."""
    if isinstance(value, dict):
        return Variables(path, value)
    if isinstance(value, list):
        return VariableList(path, value)
    return value


def path_below(container: object, key: object) -> str:
    """Return the path of a member; inside a loop only its own name is known."""
    path = getattr(container, "path", "")
    if isinstance(key, int):
        return f"{path}[{key}]"
    return f"{path}.{key}" if path else str(key)


def context_of(variables: Mapping[str, object]) -> dict[str, object]:
    """Return the variables as a template sees them."""
    return {name: wrap(value, name) for name, value in variables.items()}
