"""Find the action parameters that become part of a shell command, and whether quoting works there.

StackStorm builds the command of many actions from their parameters: core.echo runs
``echo "{{message}}"``. From the source of its runners:

- StackStorm quotes the arguments of local and remote scripts (shlex.quote), but not the operator in
  front of named arguments, `kwarg_op`;
- remote-shell-cmd runs ``cd CWD && CMD`` and quotes neither;
- arguments of PowerShell scripts are in double quotes, which typographic quotes also close;
- `env`, the SSH options and `cwd` of all other runners never reach a shell unquoted.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property, lru_cache

from jinja2 import Environment, TemplateSyntaxError, nodes

from remediation.templating import shell_lexer
from remediation.templating.errors import TemplateError
from remediation.templating.shell_lexer import ShellState
from remediation.templating.values import Part, QuotedText

CMD = "cmd"
SCRIPT = "script {{kwarg_op}}argument"
RUNNER_COMMANDS = {
    "remote-shell-cmd": "cd {{cwd}} && {{cmd}}",
    "local-shell-script": SCRIPT,
    "remote-shell-script": SCRIPT,
}
DEFAULT_COMMAND = "{{cmd}}"

POWERSHELL_SCRIPT = "winrm-ps-script"
WINDOWS_RUNNERS = frozenset({"winrm-cmd", "winrm-ps-cmd", POWERSHELL_SCRIPT})
WINRM_CONNECTION = frozenset(
    {
        *("cwd", "env", "host", "password", "port", "scheme", "timeout", "transport", "username"),
        "verify_ssl_cert",
    }
)
WINDOWS_ADVICE = (
    "uses alert data or an earlier result in a command on Windows, where no quoting is safe:"
    " use a fixed value, or an action that does not run on Windows"
)

# StackStorm's own variables hold values of the operator.
TRUSTED_VARIABLES = frozenset({"action_context", "config_context", "st2kv"})
VISITS_MAX = 1_000  # of defaults that refer to each other
SHOWN_MAX = 120  # characters
DEFAULTS_MAX = 50_000  # characters

# As StackStorm parses a default: st2common/util/jinja.py.
ENVIRONMENT = Environment(trim_blocks=True, lstrip_blocks=True, autoescape=False)  # noqa: S701 - no HTML


class Command:
    """How an action builds a shell command from its parameters, or uses them as a destination.

    ``runner``: StackStorm's name of it, '' if not known. ``defaults``: the defaults of the
    parameters that the command is built from, see ``command_defaults``. ``destinations``: the
    parameters of a local action that are a URL, a host or a port: name -> "url", "host" or "port".
    """

    def __init__(
        self,
        runner: str = "",
        defaults: Mapping[str, object] | None = None,
        destinations: Mapping[str, str] | None = None,
    ) -> None:
        self.runner = runner
        self.destinations = destinations or {}
        self.template = RUNNER_COMMANDS.get(runner, DEFAULT_COMMAND)
        self.defaults = defaults or {}
        self.is_windows = runner in WINDOWS_RUNNERS
        self._is_powershell_script = runner == POWERSHELL_SCRIPT

    @cached_property
    def states(self) -> Mapping[str, set[ShellState]]:
        """Map each parameter to the shell states it is inserted in, according to the defaults."""
        command_scan = _CommandScan(self, {})
        command_scan.scan()
        return command_scan.states

    def includes(self, name: str) -> bool:
        """Return whether the parameter becomes part of the command."""
        if self._is_powershell_script:
            return name not in WINRM_CONNECTION
        return name in self.states

    def problem(self, name: str) -> str:
        """Return why data is not safe in the parameter even if quoted; '' if it is safe."""
        if self.is_windows:
            return WINDOWS_ADVICE
        unsafe = sorted(self.states.get(name, set()) - shell_lexer.SAFE_FOR_QUOTED)
        return self.unsafe_message(name, unsafe[0]) if unsafe else ""

    def unsafe_message(self, name: str, state: ShellState) -> str:
        """Return the error for data inserted where quoting does not work."""
        return (
            f"is inserted into the command {self.displayed(name)}, {state}, where quoting does not"
            " work: use no alert or step data in it; run core.local or core.remote with the value"
            " as | quote, or a script that takes the value as an argument"
        )

    def displayed(self, name: str) -> str:
        """Return the command that the parameter is inserted into, as its author wrote it."""
        template = self.defaults.get(CMD) if name not in self._runner_parameters else None
        text = template if isinstance(template, str) else self.template
        line = " ".join(text.split())
        return line if len(line) <= SHOWN_MAX else f"{line[:SHOWN_MAX]}…"

    def check(self, sent: Mapping[str, Sequence[Part]]) -> None:
        """Refuse a quoted value in the complete command where quoting does not work.

        ``sent``: the parts of each parameter that is sent, by name. Raises TemplateError.
        """
        if any(isinstance(part, QuotedText) for parts in sent.values() for part in parts):
            _CommandScan(self, sent).scan()

    @property
    def _runner_parameters(self) -> set[str]:
        return _variable_names(self.template)


NO_COMMAND = Command()


def command_defaults(defaults: Mapping[str, object]) -> dict[str, object]:
    """Return the defaults that an action's command is built from; {} if it builds none.

    ``defaults``: those of all its parameters; None for a parameter without one.
    """
    cmd = defaults.get(CMD)
    if not isinstance(cmd, str) or not _variable_names(cmd):
        return {}
    if sum(len(text) for text in defaults.values() if isinstance(text, str)) > DEFAULTS_MAX:
        # Too long to store: treat every parameter as one where quoting does not work.
        return {CMD: "$(" + "".join(f"{{{{{name}}}}}" for name in sorted(defaults) if name != CMD)}
    pending, found = [CMD], dict[str, object]()
    while pending:
        name = pending.pop()
        if name in found or name not in defaults:
            continue
        value = defaults[name]
        is_plain = value is None or isinstance(value, str | bool | int | float)
        found[name] = value if is_plain else str(value)
        pending += _variable_names(value) if isinstance(value, str) else ()
    return found


class _CommandScan:
    """Scan a command from left to right and track the state of the shell's lexer.

    ``states``: the states in which each parameter was found. All branches of an ``if`` are scanned.
    """

    def __init__(self, command: Command, sent: Mapping[str, Sequence[Part]]) -> None:
        self.states: dict[str, set[ShellState]] = {}
        self._command = command
        self._sent = sent
        self._visits = 0

    def scan(self) -> None:
        self._template(self._command.template, {ShellState.START}, ())

    def _template(
        self, text: str, states: set[ShellState], parents: tuple[str, ...]
    ) -> set[ShellState]:
        self._visits += 1
        if self._visits > VISITS_MAX:
            return {ShellState.UNSURE}
        return self._body(_parse(text).body, states, parents)

    def _body(
        self, body: Iterable[nodes.Node], states: set[ShellState], parents: tuple[str, ...]
    ) -> set[ShellState]:
        for node in body:
            if isinstance(node, nodes.Output):
                for child in node.nodes:
                    states = self._output(child, states, parents)
            elif isinstance(node, nodes.If):
                branches = [node.body, *(other.body for other in node.elif_), node.else_]
                states = set[ShellState]().union(
                    *(self._body(branch, states, parents) for branch in branches)
                )
            else:
                states = self._unsure(node)
        return states

    def _output(
        self, node: nodes.Expr, states: set[ShellState], parents: tuple[str, ...]
    ) -> set[ShellState]:
        if isinstance(node, nodes.TemplateData):
            return _advance(states, node.data)
        if isinstance(node, nodes.Name):
            return self._parameter(node.name, states, parents)
        names = {name.name for name in node.find_all(nodes.Name)}
        if names <= TRUSTED_VARIABLES:
            return _advance(states, "x")
        return self._unsure(node)

    def _unsure(self, node: nodes.Node) -> set[ShellState]:
        """Return the state after an expression that may change its input in any way."""
        for name in node.find_all(nodes.Name):
            self._record(name.name, {ShellState.UNSURE})
            if any(isinstance(part, QuotedText) for part in self._sent.get(name.name, ())):
                self._refuse_unsafe(name.name, {ShellState.UNSURE})
        return {ShellState.UNSURE}

    def _parameter(
        self, name: str, states: set[ShellState], parents: tuple[str, ...]
    ) -> set[ShellState]:
        self._record(name, states)
        if name in self._sent:
            return self._value(name, states)
        default = self._command.defaults.get(name)
        if name in parents:
            return {ShellState.UNSURE}
        if isinstance(default, str):
            return self._template(default, states, (*parents, name))
        return _advance(states, "x")

    def _value(self, name: str, states: set[ShellState]) -> set[ShellState]:
        for part in self._sent[name]:
            if isinstance(part, QuotedText):
                self._refuse_unsafe(name, states)
                states = {ShellState.WORD}
            else:
                # A datastore value is the operator's, and not known here.
                states = _advance(states, part if isinstance(part, str) else "x")
        return states

    def _record(self, name: str, states: set[ShellState]) -> None:
        self.states.setdefault(name, set()).update(states)

    def _refuse_unsafe(self, name: str, states: set[ShellState]) -> None:
        if unsafe := sorted(states - shell_lexer.SAFE_FOR_QUOTED):
            raise TemplateError(name, self._command.unsafe_message(name, unsafe[0]))


def _advance(states: set[ShellState], text: str) -> set[ShellState]:
    return {shell_lexer.advance(state, text) for state in states}


def _variable_names(text: str) -> set[str]:
    return {name.name for name in _parse(text).find_all(nodes.Name)}


@lru_cache(maxsize=512)
def _parse(text: str) -> nodes.Template:
    try:
        return ENVIRONMENT.parse(text)
    except (TemplateSyntaxError, RecursionError):
        # StackStorm sends an invalid template unchanged, or fails.
        data = nodes.TemplateData(text, lineno=1)
        return nodes.Template([nodes.Output([data], lineno=1)], lineno=1)
