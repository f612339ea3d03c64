"""Templates in parameters: rendered strictly, in a sandbox, and escaped for what comes next.

A step's parameters are rendered first, then the mapping of its action over them:

    variables["parameters"] = render_step_parameters(step.parameters, variables)
    render_for_stackstorm(action.st2_parameters, variables, rendered_again=False)

Whatever an expression yields is data, never code: StackStorm's own Jinja sees it escaped, a shell
sees it as one quoted word, and `hosts` names one host. Variables are JSON values by root name.

Every function keeps to a budget of time and size (``configure``). What could exceed it runs in a
process of its own that the kernel ends; see docs/adr/0007.
"""

from remediation.templating.budget import configure, saving
from remediation.templating.commands import NO_COMMAND, Command, defaults_of
from remediation.templating.errors import TemplateError
from remediation.templating.isolation import (
    check,
    check_condition,
    evaluate_condition,
    render_for_local,
    render_for_stackstorm,
    render_step_parameters,
    tainted,
)
from remediation.templating.renderer_pool import RendererUnavailable
from remediation.templating.values import DatastoreReference, StepParameters
from remediation.templating.variables import ALERT_ATTRIBUTES, ROOTS

__all__ = [
    "ALERT_ATTRIBUTES",
    "NO_COMMAND",
    "ROOTS",
    "Command",
    "DatastoreReference",
    "RendererUnavailable",
    "StepParameters",
    "TemplateError",
    "check",
    "check_condition",
    "configure",
    "defaults_of",
    "evaluate_condition",
    "render_for_local",
    "render_for_stackstorm",
    "render_step_parameters",
    "saving",
    "tainted",
]
