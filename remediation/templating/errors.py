"""Template errors and their messages. No message contains a value."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import jinja2


class TemplateError(ValueError):
    """A parameter cannot be rendered.

    ``field``: path of the parameter, such as ``cmd``, ``env.PATH`` or ``hosts[0]``.
    """

    def __init__(self, field: str, message: str) -> None:
        super().__init__(field, message)
        self.field = field
        self.message = message

    def __str__(self) -> str:
        return f"{self.field}: {self.message}"


class Refused(jinja2.TemplateRuntimeError):
    """A value or construct is not allowed; raised where the field is not known."""


_reporters: list[Callable[[str], None]] = []

# Python's compiler raises SyntaxError for deep nesting.
MESSAGES = {
    RecursionError: "is nested too deeply",
    SyntaxError: "is nested too deeply",
    MemoryError: "takes too much memory: make it smaller",
    ValueError: "cannot be computed: invalid value",
    LookupError: "cannot be computed: invalid value",
    AttributeError: "cannot be computed: invalid value",
}


@contextmanager
def field_errors(field: str) -> Iterator[None]:
    """Convert any exception in this block to a TemplateError of ``field``.

    The original traceback is dropped: it holds alert data and results, and may be logged.
    """
    for report in _reporters:
        report(field)
    try:
        yield
    except TemplateError:
        raise
    except Exception as error:  # noqa: BLE001 - filters may raise anything
        raise TemplateError(field, _message(error)) from None


def report_fields(report: Callable[[str], None]) -> None:
    """Call ``report`` with each field before it is rendered.

    A renderer process uses this: once the kernel ends it, it can no longer name the field.
    """
    _reporters.append(report)


def _message(error: Exception) -> str:
    if isinstance(error, jinja2.TemplateSyntaxError):
        return f"line {error.lineno}: {error.message}"
    if isinstance(error, jinja2.TemplateError):
        return error.message or type(error).__name__
    for exception_type, message in MESSAGES.items():
        if isinstance(error, exception_type):
            return message
    if isinstance(error, TypeError | ArithmeticError | AssertionError) and str(error):
        # Some Jinja filters validate arguments by assertions, such as truncate's length.
        return f"cannot be computed: {error}"
    return f"cannot be computed: {type(error).__name__}"
