"""What is said when a template cannot be rendered. No message repeats a value."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import jinja2


class TemplateError(ValueError):
    """Tell which parameter cannot be rendered, and why.

    ``field``: path of the parameter, such as ``cmd``, ``env.PATH`` or ``hosts[0]``.
    """

    def __init__(self, field: str, message: str) -> None:
        super().__init__(field, message)
        self.field = field
        self.message = message

    def __str__(self) -> str:
        return f"{self.field}: {self.message}"


class Refused(jinja2.TemplateRuntimeError):
    """Refuse a value or a construct; raised where the field is not known."""


_reporters: list[Callable[[str], None]] = []

# Python's own compiler gives up on deep nesting with a SyntaxError.
MESSAGES = {
    RecursionError: "is nested too deep",
    SyntaxError: "is nested too deep",
    MemoryError: "takes too much memory: make it smaller",
    ValueError: "cannot be computed: a value does not fit",
    LookupError: "cannot be computed: a value does not fit",
    AttributeError: "cannot be computed: a value does not fit",
}


@contextmanager
def naming(field: str) -> Iterator[None]:
    """Raise whatever goes wrong inside as a TemplateError of ``field``.

    The cause is cut off: its traceback holds alert data and results, and may be logged.
    """
    for report in _reporters:
        report(field)
    try:
        yield
    except TemplateError:
        raise
    except Exception as error:  # noqa: BLE001  # the next filter may raise anything
        raise TemplateError(field, _message(error)) from None


def report_fields(report: Callable[[str], None]) -> None:
    """Have every field reported before it is rendered: a process that is ended cannot tell."""
    _reporters.append(report)


def _message(error: Exception) -> str:
    if isinstance(error, jinja2.TemplateSyntaxError):
        return f"line {error.lineno}: {error.message}"
    if isinstance(error, jinja2.TemplateError):
        return error.message or type(error).__name__
    for kind, message in MESSAGES.items():
        if isinstance(error, kind):
            return message
    if isinstance(error, TypeError | ArithmeticError | AssertionError) and str(error):
        # Jinja's filters check numbers by assertions, such as the length that truncate takes.
        return f"cannot be computed: {error}"
    return f"cannot be computed: {type(error).__name__}"
