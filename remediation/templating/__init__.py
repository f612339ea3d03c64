"""Render Jinja templates in parameters: strictly, in a sandbox, and escaped for their destination.

A step's parameters are rendered first, then the mapping of its action:

    variables["parameters"] = render_step_parameters(step.parameters, variables)
    render_for_stackstorm(action.st2_parameters, variables, rendered_twice=False)

The value of an expression is data, never code: it is escaped for StackStorm's Jinja, quoted as one
argument for a shell, and one host in `hosts`; in a URL it is a host, a path segment or a query
value. Variables are JSON values by root name.

``configure`` sets the time and size limits of every function. Rendering that could exceed them runs
in a renderer process that the kernel kills; see docs/adr/0007.
"""

from remediation.templating.budget import configure, save_time_limit
from remediation.templating.destination_rules import step_command
from remediation.templating.dispatch import (
    check,
    check_condition,
    evaluate_condition,
    render_for_local,
    render_for_stackstorm,
    render_step_parameters,
    secret_templates,
    tainted_parameters,
)
from remediation.templating.errors import TemplateError
from remediation.templating.renderer_pool import RendererUnavailable
from remediation.templating.secret_flow import (
    holds_secret,
    mask_templates,
    secret_members,
    secret_texts,
)
from remediation.templating.shell_commands import NO_COMMAND, Command, command_defaults
from remediation.templating.traversal import template_sources
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
    "command_defaults",
    "configure",
    "evaluate_condition",
    "holds_secret",
    "mask_templates",
    "render_for_local",
    "render_for_stackstorm",
    "render_step_parameters",
    "save_time_limit",
    "secret_members",
    "secret_templates",
    "secret_texts",
    "step_command",
    "tainted_parameters",
    "template_sources",
]
