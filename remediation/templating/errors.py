"""What is said when a template cannot be rendered. No message repeats a value."""

from collections.abc import Iterator
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


@contextmanager
def naming(field: str) -> Iterator[None]:
    """Raise whatever goes wrong inside as a TemplateError of ``field``.

    The cause is cut off: its traceback holds alert data and results, and may be logged.
    """
    try:
        yield
    except TemplateError:
        raise
    except jinja2.TemplateSyntaxError as error:
        raise TemplateError(field, f"line {error.lineno}: {error.message}") from None
    except jinja2.TemplateError as error:
        raise TemplateError(field, error.message or type(error).__name__) from None
    except (RecursionError, SyntaxError):
        # Python's own compiler gives up on deep nesting with a SyntaxError.
        raise TemplateError(field, "is nested too deep") from None
    except (TypeError, ArithmeticError) as error:
        raise TemplateError(field, f"cannot be computed: {error}") from None
    except (ValueError, LookupError, AttributeError):
        raise TemplateError(field, "cannot be computed: a value does not fit") from None
