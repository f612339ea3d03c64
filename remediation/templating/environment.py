"""The sandboxed Jinja environment: attribute access reads data, and only strings have methods.

Jinja's sandbox protects Python's internals. This environment also keeps the type of every value,
prefers keys over methods, and limits the size of computed values.
"""

from collections.abc import Callable

from jinja2 import Undefined, nodes
from jinja2.compiler import CodeGenerator, Frame
from jinja2.nativetypes import NativeCodeGenerator
from jinja2.runtime import Context, LoopContext, StrictUndefined
from jinja2.sandbox import ImmutableSandboxedEnvironment

from remediation.templating.errors import Refused
from remediation.templating.filters import FILTERS
from remediation.templating.values import check_length, type_name
from remediation.templating.variables import member_path, wrap

NUMBER_BITS = 1024  # of the largest integer that * and ** may produce

TEXT_METHODS = frozenset(
    {
        *("count", "endswith", "find", "startswith"),
        *("isalnum", "isalpha", "isdigit", "islower", "isupper"),
        *("lower", "upper", "lstrip", "rstrip", "strip", "removeprefix", "removesuffix"),
        *("partition", "rpartition", "rsplit", "split", "splitlines"),
    }
)


class OutputGenerator(NativeCodeGenerator):
    """Generate code that yields each expression's value unchanged, at run time only.

    Jinja's generator computes constants while compiling and converts them to strings.
    """

    def _output_child_to_const(
        self, node: nodes.Expr, frame: Frame, finalize: CodeGenerator._FinalizeInfo
    ) -> str:
        if not isinstance(node, nodes.TemplateData):
            raise nodes.Impossible
        return node.data


class NamedUndefined(StrictUndefined):
    """Raise errors that name the undefined variable, with its full path if known."""

    __slots__ = ()

    @property
    def _undefined_message(self) -> str:
        return self._undefined_hint or f"{self._undefined_name} is not defined"


class TemplateEnvironment(ImmutableSandboxedEnvironment):
    """Evaluate expressions over JSON values, strictly and within limits."""

    code_generator_class = OutputGenerator
    intercepted_binops = frozenset({"*", "**", "%"})

    def __init__(self) -> None:
        super().__init__(
            undefined=NamedUndefined,
            keep_trailing_newline=True,
            autoescape=False,
            # Evaluate nothing at compile time, so that checks on save stay cheap.
            optimized=False,
        )
        self.filters = dict(FILTERS)
        self.globals = {"range": self.globals["range"]}

    def number_output(self, value: object, number: int) -> tuple[object, int]:
        """Return the value with the expression's number. Every output calls this method."""
        return value, number

    def getattr(self, obj: object, attribute: str) -> object:
        """Return the member ``obj.attribute``, or a method if ``obj`` is a string."""
        if isinstance(obj, dict):
            return self._member(obj, attribute)
        if isinstance(obj, str) and attribute in TEXT_METHODS:
            method: Callable[..., object] = getattr(obj, attribute)
            return method
        if isinstance(obj, LoopContext):
            return super().getattr(obj, attribute)
        return self._missing(obj, attribute)

    def getitem(self, obj: object, argument: object) -> object:
        """Return ``obj[argument]`` of an object, a list or a string."""
        if isinstance(obj, dict):
            return self._member(obj, argument)
        if isinstance(obj, list | tuple | str) and isinstance(argument, int):
            try:
                return wrap(obj[argument], member_path(obj, argument))
            except IndexError:
                return self._undefined(f"{member_path(obj, argument)} is not defined")
        return self._missing(obj, argument)

    def call_binop(self, context: Context, operator: str, left: object, right: object) -> object:
        """Compute ``*``, ``**`` and ``%`` unless the result would be too large."""
        if operator == "%" and isinstance(left, str):
            raise Refused("% cannot format strings; use {{ }} or ~")
        if operator == "*":
            _check_product(left, right)
        if operator == "**":
            _check_power(left, right)
        return super().call_binop(context, operator, left, right)

    def _member(self, obj: dict[str, object], key: object) -> object:
        path = member_path(obj, key)
        if isinstance(key, str) and key in obj:
            return wrap(obj[key], path)
        return self._undefined(f"{path} is not defined")

    def _missing(self, obj: object, name: object) -> Undefined:
        if isinstance(obj, Undefined):
            str(obj)  # raises the error for the first undefined part of the path
        path = member_path(obj, name)
        return self._undefined(f"{path} is not defined: its parent is {type_name(obj)}")

    def _undefined(self, hint: str) -> Undefined:
        return self.undefined(hint=hint)


def _check_product(left: object, right: object) -> None:
    for sequence, times in ((left, right), (right, left)):
        if isinstance(sequence, str | list | tuple) and isinstance(times, int):
            check_length(len(sequence) * times)
    if isinstance(left, int) and isinstance(right, int):
        _check_bits(left.bit_length() + right.bit_length())


def _check_power(left: object, right: object) -> None:
    if isinstance(left, int) and isinstance(right, int):
        _check_bits(left.bit_length() * right)


def _check_bits(bits: int) -> None:
    if bits > NUMBER_BITS:
        raise Refused(f"produces a number of more than {NUMBER_BITS} bits")


ENVIRONMENT = TemplateEnvironment()
