"""Which parameters of an action become part of a shell command, and whether quotes hold there.

StackStorm builds the command of many actions from their parameters: core.echo runs
``echo "{{message}}"``. What its runners do, read in their source:

- arguments of local and remote scripts are quoted by StackStorm (shlex.quote); the operator in
  front of named ones, `kwarg_op`, is not;
- remote-shell-cmd runs ``cd CWD && CMD`` and quotes neither;
- arguments of PowerShell scripts stand in double quotes, which typographic quotes end as well;
- `env`, the SSH options and `cwd` of all others never meet a shell unquoted.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property, lru_cache

from jinja2 import Environment, TemplateSyntaxError, nodes

from remediation.templating import shell
from remediation.templating.errors import TemplateError
from remediation.templating.shell import Place
from remediation.templating.values import Part, ShellWord

CMD = "cmd"
SCRIPT = "script {{kwarg_op}}argument"
BUILT = {
    "remote-shell-cmd": "cd {{cwd}} && {{cmd}}",
    "local-shell-script": SCRIPT,
    "remote-shell-script": SCRIPT,
}
BUILT_BY_OTHERS = "{{cmd}}"

POWERSHELL_SCRIPT = "winrm-ps-script"
WINDOWS_RUNNERS = frozenset({"winrm-cmd", "winrm-ps-cmd", POWERSHELL_SCRIPT})
WINRM_CONNECTION = frozenset(
    {
        *("cwd", "env", "host", "password", "port", "scheme", "timeout", "transport", "username"),
        "verify_ssl_cert",
    }
)
WINDOWS_ADVICE = (
    "reads alert data or an earlier result, and the action runs it in Windows, where no"
    " quoting is safe: write the value into the bucket, or use an action that runs elsewhere"
)

# What StackStorm's own variables hold is the operator's.
OPERATORS_OWN = frozenset({"action_context", "config_context", "st2kv"})
VISITS_MAX = 1_000  # of templates that read each other
SHOWN_MAX = 120
DEFAULTS_MAX = 50_000  # characters

# As StackStorm reads a default: st2common/util/jinja.py.
ENVIRONMENT = Environment(trim_blocks=True, lstrip_blocks=True, autoescape=False)  # noqa: S701


class Command:
    """How an action makes a shell command of its parameters.

    ``runner``: StackStorm's name of it, '' when it is not known. ``defaults``: those of the
    parameters that the command is built from, as ``defaults_of`` returns them.
    """

    def __init__(self, runner: str = "", defaults: Mapping[str, object] | None = None) -> None:
        self.runner = runner
        self.template = BUILT.get(runner, BUILT_BY_OTHERS)
        self.defaults = defaults or {}
        self.is_windows = runner in WINDOWS_RUNNERS
        self._is_powershell_script = runner == POWERSHELL_SCRIPT

    @cached_property
    def places(self) -> Mapping[str, set[Place]]:
        """Where each parameter stands in the command, as far as the defaults say."""
        walk = _Walk(self, {})
        walk.run()
        return walk.places

    def takes(self, name: str) -> bool:
        """Return whether the parameter becomes part of the command."""
        if self._is_powershell_script:
            return name not in WINRM_CONNECTION
        return name in self.places

    def problem(self, name: str) -> str:
        """Return why no data can stand in the parameter, whatever its quotes; '' if it can."""
        if self.is_windows:
            return WINDOWS_ADVICE
        misplaced = sorted(self.places.get(name, set()) - shell.QUOTABLE)
        return self.misplaced(name, misplaced[0]) if misplaced else ""

    def misplaced(self, name: str, place: Place) -> str:
        """Return the sentence for data that stands in the command where quotes do not hold."""
        return (
            f"becomes part of the command {self.shown(name)}, {place}, where no quotes hold: send"
            " no alert or step data in it; run core.local or core.remote with the value as"
            " | quote, or a script that takes the value as an argument"
        )

    def shown(self, name: str) -> str:
        """Return the command that the parameter becomes part of, as its author wrote it."""
        template = self.defaults.get(CMD) if name not in self._own else None
        text = template if isinstance(template, str) else self.template
        line = " ".join(text.split())
        return line if len(line) <= SHOWN_MAX else f"{line[:SHOWN_MAX]}…"

    def check(self, sent: Mapping[str, Sequence[Part]]) -> None:
        """Refuse a quoted word that stands where quotes do not hold in the complete command.

        ``sent``: by name, the text that each parameter is given, quoted words apart. Raises
        TemplateError.
        """
        if any(isinstance(part, ShellWord) for parts in sent.values() for part in parts):
            _Walk(self, sent).run()

    @property
    def _own(self) -> set[str]:
        return _names(self.template)


NO_COMMAND = Command()


def defaults_of(defaults: Mapping[str, object]) -> dict[str, object]:
    """Return the defaults that an action's command is built from; {} when it builds none.

    ``defaults``: of all its parameters, None without.
    """
    cmd = defaults.get(CMD)
    if not isinstance(cmd, str) or not _names(cmd):
        return {}
    if sum(len(text) for text in defaults.values() if isinstance(text, str)) > DEFAULTS_MAX:
        # Too long to be kept: every parameter counts as one where no quotes hold.
        return {CMD: "$(" + "".join(f"{{{{{name}}}}}" for name in sorted(defaults) if name != CMD)}
    needed, found = [CMD], dict[str, object]()
    while needed:
        name = needed.pop()
        if name in found or name not in defaults:
            continue
        value = defaults[name]
        is_plain = value is None or isinstance(value, str | bool | int | float)
        found[name] = value if is_plain else str(value)
        needed += _names(value) if isinstance(value, str) else ()
    return found


class _Walk:
    """Go through a command from left to right and know where in the shell's text it is.

    ``places``: where each parameter was met. Branches of an ``if`` are all gone through.
    """

    def __init__(self, command: Command, sent: Mapping[str, Sequence[Part]]) -> None:
        self.places: dict[str, set[Place]] = {}
        self._command = command
        self._sent = sent
        self._visits = 0

    def run(self) -> None:
        self._template(self._command.template, {Place.START}, ())

    def _template(self, text: str, places: set[Place], trail: tuple[str, ...]) -> set[Place]:
        self._visits += 1
        if self._visits > VISITS_MAX:
            return {Place.UNSURE}
        return self._body(_read(text).body, places, trail)

    def _body(
        self, body: Iterable[nodes.Node], places: set[Place], trail: tuple[str, ...]
    ) -> set[Place]:
        for node in body:
            if isinstance(node, nodes.Output):
                for child in node.nodes:
                    places = self._output(child, places, trail)
            elif isinstance(node, nodes.If):
                branches = [node.body, *(other.body for other in node.elif_), node.else_]
                places = set[Place]().union(
                    *(self._body(branch, places, trail) for branch in branches)
                )
            else:
                places = self._unsure(node)
        return places

    def _output(self, node: nodes.Expr, places: set[Place], trail: tuple[str, ...]) -> set[Place]:
        if isinstance(node, nodes.TemplateData):
            return _advance(places, node.data)
        if isinstance(node, nodes.Name):
            return self._parameter(node.name, places, trail)
        names = {name.name for name in node.find_all(nodes.Name)}
        if names <= OPERATORS_OWN:
            return _advance(places, "x")
        return self._unsure(node)

    def _unsure(self, node: nodes.Node) -> set[Place]:
        """Return the place after an expression that may change what it reads in any way."""
        for name in node.find_all(nodes.Name):
            self._meet(name.name, {Place.UNSURE})
            if any(isinstance(part, ShellWord) for part in self._sent.get(name.name, ())):
                self._refuse_misplaced(name.name, {Place.UNSURE})
        return {Place.UNSURE}

    def _parameter(self, name: str, places: set[Place], trail: tuple[str, ...]) -> set[Place]:
        self._meet(name, places)
        if name in self._sent:
            return self._value(name, places)
        default = self._command.defaults.get(name)
        if name in trail:
            return {Place.UNSURE}
        if isinstance(default, str):
            return self._template(default, places, (*trail, name))
        return _advance(places, "x")

    def _value(self, name: str, places: set[Place]) -> set[Place]:
        for part in self._sent[name]:
            if isinstance(part, ShellWord):
                self._refuse_misplaced(name, places)
                places = {Place.WORD}
            else:
                # What StackStorm's datastore holds is the operator's, and unknown here.
                places = _advance(places, part if isinstance(part, str) else "x")
        return places

    def _meet(self, name: str, places: set[Place]) -> None:
        self.places.setdefault(name, set()).update(places)

    def _refuse_misplaced(self, name: str, places: set[Place]) -> None:
        if misplaced := sorted(places - shell.QUOTABLE):
            raise TemplateError(name, self._command.misplaced(name, misplaced[0]))


def _advance(places: set[Place], text: str) -> set[Place]:
    return {shell.advance(place, text) for place in places}


def _names(text: str) -> set[str]:
    return {name.name for name in _read(text).find_all(nodes.Name)}


@lru_cache(maxsize=512)
def _read(text: str) -> nodes.Template:
    try:
        return ENVIRONMENT.parse(text)
    except (TemplateSyntaxError, RecursionError):
        # StackStorm sends what it cannot read as it is, or fails.
        data = nodes.TemplateData(text, lineno=1)
        return nodes.Template([nodes.Output([data], lineno=1)], lineno=1)
