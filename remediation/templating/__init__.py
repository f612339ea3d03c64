"""Templates in parameters: rendered strictly, in a sandbox, and escaped for what comes next.

A step's parameters are rendered first, then the mapping of its action over them:

    variables["parameters"] = render_step_parameters(step.parameters, variables)
    render_for_stackstorm(action.st2_parameters, variables, rendered_again=False)

Whatever an expression yields is data, never code: StackStorm's own Jinja sees it escaped, a shell
sees it as one quoted word, and `hosts` names one host. Variables are JSON values by root name.
"""

from remediation.templating.checking import check, check_condition
from remediation.templating.errors import TemplateError
from remediation.templating.rendering import (
    evaluate_condition,
    render_for_local,
    render_for_stackstorm,
    render_step_parameters,
    tainted,
)
from remediation.templating.values import DatastoreReference, StepParameters
from remediation.templating.variables import ALERT_ATTRIBUTES, ROOTS

__all__ = [
    "ALERT_ATTRIBUTES",
    "ROOTS",
    "DatastoreReference",
    "StepParameters",
    "TemplateError",
    "check",
    "check_condition",
    "evaluate_condition",
    "render_for_local",
    "render_for_stackstorm",
    "render_step_parameters",
    "tainted",
]
