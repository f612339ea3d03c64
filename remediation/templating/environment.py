"""The sandbox in which templates are evaluated: data by name, methods on text alone.

Jinja's own sandbox guards Python's internals; what is added here keeps every value's type, lets
names win over methods, and bounds what a number out of an alert can make grow.
"""

from collections.abc import Callable

from jinja2 import Undefined, nodes
from jinja2.compiler import CodeGenerator, Frame
from jinja2.nativetypes import NativeCodeGenerator
from jinja2.runtime import Context, LoopContext, StrictUndefined
from jinja2.sandbox import ImmutableSandboxedEnvironment

from remediation.templating.errors import Refused
from remediation.templating.filters import FILTERS
from remediation.templating.values import bounded, kind
from remediation.templating.variables import path_below, wrap

NUMBER_BITS = 1024  # the largest whole number that * and ** may make

TEXT_METHODS = frozenset(
    {
        *("count", "endswith", "find", "startswith"),
        *("isalnum", "isalpha", "isdigit", "islower", "isupper"),
        *("lower", "upper", "lstrip", "rstrip", "strip", "removeprefix", "removesuffix"),
        *("partition", "rpartition", "rsplit", "split", "splitlines"),
    }
)


class OutputGenerator(NativeCodeGenerator):
    """Generate code that hands over each expression's value as it is, at run time only.

    The stock generator computes constants while compiling, and makes text of them.
    """

    def _output_child_to_const(
        self, node: nodes.Expr, frame: Frame, finalize: CodeGenerator._FinalizeInfo
    ) -> str:
        if not isinstance(node, nodes.TemplateData):
            raise nodes.Impossible
        return node.data


class NamedUndefined(StrictUndefined):
    """Say which variable is not defined, by its whole path where that is known."""

    __slots__ = ()

    @property
    def _undefined_message(self) -> str:
        return self._undefined_hint or f"{self._undefined_name} is not defined"


class TemplateEnvironment(ImmutableSandboxedEnvironment):
    """Evaluate expressions over JSON values, strictly and within bounds."""

    code_generator_class = OutputGenerator
    intercepted_binops = frozenset({"*", "**", "%"})

    def __init__(self) -> None:
        super().__init__(
            undefined=NamedUndefined,
            keep_trailing_newline=True,
            autoescape=False,
            # Nothing is evaluated while a template is compiled: a check on save stays cheap.
            optimized=False,
        )
        self.filters = dict(FILTERS)
        self.globals = {"range": self.globals["range"]}

    def piece(self, value: object, number: int) -> tuple[object, int]:
        """Tie the value of an expression to its number; every output is wrapped in a call of it."""
        return value, number

    def getattr(self, obj: object, attribute: str) -> object:
        """Return the member ``obj.attribute``; methods exist on text alone."""
        if isinstance(obj, dict):
            return self._member(obj, attribute)
        if isinstance(obj, str) and attribute in TEXT_METHODS:
            method: Callable[..., object] = getattr(obj, attribute)
            return method
        if isinstance(obj, LoopContext):
            return super().getattr(obj, attribute)
        return self._missing(obj, attribute)

    def getitem(self, obj: object, argument: object) -> object:
        """Return the item ``obj[argument]`` of an object, a list or a text."""
        if isinstance(obj, dict):
            return self._member(obj, argument)
        if isinstance(obj, list | tuple | str) and isinstance(argument, int):
            try:
                return wrap(obj[argument], path_below(obj, argument))
            except IndexError:
                return self._undefined(f"{path_below(obj, argument)} is not defined")
        return self._missing(obj, argument)

    def call_binop(self, context: Context, operator: str, left: object, right: object) -> object:
        """Compute ``*``, ``**`` and ``%`` unless the result would be huge."""
        if operator == "%" and isinstance(left, str):
            raise Refused("% does not format text here; write {{ }} or ~")
        if operator == "*":
            _bound_product(left, right)
        if operator == "**":
            _bound_power(left, right)
        return super().call_binop(context, operator, left, right)

    def _member(self, obj: dict[str, object], key: object) -> object:
        path = path_below(obj, key)
        if isinstance(key, str) and key in obj:
            return wrap(obj[key], path)
        return self._undefined(f"{path} is not defined")

    def _missing(self, obj: object, name: object) -> Undefined:
        if isinstance(obj, Undefined):
            str(obj)  # raises what it has to say: the first part of the path that is not defined
        return self._undefined(f"{path_below(obj, name)} is not defined: its owner is {kind(obj)}")

    def _undefined(self, hint: str) -> Undefined:
        return self.undefined(hint=hint)


def _bound_product(left: object, right: object) -> None:
    for sequence, times in ((left, right), (right, left)):
        if isinstance(sequence, str | list | tuple) and isinstance(times, int):
            bounded(len(sequence) * times)
    if isinstance(left, int) and isinstance(right, int):
        _bound_bits(left.bit_length() + right.bit_length())


def _bound_power(left: object, right: object) -> None:
    if isinstance(left, int) and isinstance(right, int):
        _bound_bits(left.bit_length() * right)


def _bound_bits(bits: int) -> None:
    if bits > NUMBER_BITS:
        raise Refused(f"makes a number of more than {NUMBER_BITS} bits")


ENVIRONMENT = TemplateEnvironment()
