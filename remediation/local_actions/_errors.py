"""The errors of local actions; see the package's docstring."""

from collections.abc import Mapping


class LocalActionError(Exception):
    """A local action did not succeed."""


class UnknownLocalAction(LocalActionError):
    """No local action has this name."""


class InvalidParameters(LocalActionError):
    """The parameters are invalid. ``errors``: parameter name -> predicate, as in "is missing"."""

    def __init__(self, action: str, errors: Mapping[str, str]) -> None:
        self.errors = dict(errors)
        details = "; ".join(f"parameter {name!r} {error}" for name, error in sorted(errors.items()))
        super().__init__(f"{action}: {details}")


class LocalActionFailed(LocalActionError):
    """The action failed. ``result``: a JSON object with the details."""

    def __init__(self, message: str, result: Mapping[str, object] | None = None) -> None:
        self.result = dict(result or {})
        super().__init__(message)


class LocalActionTimeout(LocalActionError):
    """The action exceeded its deadline. It may still be running."""
