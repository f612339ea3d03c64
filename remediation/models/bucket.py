"""Custom action buckets: alert matchers and the steps to run."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.core.validators import MaxLengthValidator, MaxValueValidator, MinValueValidator
from django.db import models

from remediation import matching, redaction, templating
from remediation.models.action import MASKED, REF_PATTERN, Action, object_problem
from remediation.models.config import config_secrets
from remediation.models.fields import (
    ExactCharField,
    created_field,
    description_field,
    one_of,
    updated_field,
)

DAY = 86_400
# Limits of what the admin and the API save; rows that SQL writes are used as they are.
BUCKETS_MAX = 5_000  # each notification reads all of them: 50 ms
STEPS_MAX = 100  # of one bucket
MATCHERS_MAX = 50  # in label_matchers
MATCHERS_LENGTH_MAX = 10_000  # characters of label_matchers
GROUP_BY_LENGTH_MAX = 1_000  # characters
CONDITION_LENGTH_MAX = 10_000  # characters
# Variables of the parameters and condition of a step; only an action's mapping has parameters.KEY.
FIRST_RENDERED = frozenset(templating.ROOTS) - {"parameters"}
WORKFLOW_TIMEOUT_SECONDS = 3_600  # of a workflow whose bucket has no time limit


class Bucket(models.Model):
    """A matcher with its ordered steps, or with one StackStorm workflow."""

    class TriggerOn(models.TextChoices):
        FIRING = "firing"
        RESOLVED = "resolved"

    class OnResolved(models.TextChoices):
        CONTINUE = "continue"
        STOP = "stop"
        CANCEL = "cancel"

    name = ExactCharField(max_length=200, unique=True)
    description = description_field()
    is_enabled = models.BooleanField(default=True, db_default=True)
    alert_name_pattern = models.CharField(
        max_length=500,
        blank=True,
        default="",
        db_default="",
        help_text="RE2, anchored: HostDown matches this name only, HostDown|NodeDown either",
    )
    label_matchers = models.TextField(
        blank=True,
        default="",
        db_default="",
        validators=[MaxLengthValidator(MATCHERS_LENGTH_MAX)],
        help_text='As in Alertmanager: severity=~"critical|page", team!="db"',
    )
    priority = models.IntegerField(default=100, db_default=100, help_text="Lower comes first")
    continue_matching = models.BooleanField(
        default=False, db_default=False, help_text="Also match the alert against later buckets"
    )
    trigger_on = models.CharField(
        max_length=20, choices=TriggerOn, default=TriggerOn.FIRING, db_default=TriggerOn.FIRING
    )
    on_resolved = models.CharField(
        max_length=20,
        choices=OnResolved,
        default=OnResolved.CONTINUE,
        db_default=OnResolved.CONTINUE,
        help_text="What to do with a started run when its alert resolves",
    )
    cooldown_seconds = models.PositiveIntegerField(
        default=0,
        db_default=0,
        validators=[MaxValueValidator(365 * DAY)],
        help_text="Minimum seconds between automatic runs for the same alert",
    )
    group_by = models.TextField(
        blank=True,
        default="",
        db_default="",
        validators=[MaxLengthValidator(GROUP_BY_LENGTH_MAX)],
        help_text="Labels that identify an alert for the cooldown, such as"
        " alertname, instance. Empty: all labels",
    )
    timeout_seconds = models.PositiveIntegerField(
        default=0,
        db_default=0,
        validators=[MaxValueValidator(30 * DAY)],
        help_text="Seconds for a run; 0 means no limit, or 3600 for a workflow",
    )
    use_stackstorm = models.BooleanField("workflow in StackStorm", default=False, db_default=False)
    st2_workflow_name = models.CharField(max_length=200, blank=True, default="", db_default="")
    st2_workflow_pack = models.CharField(max_length=100, blank=True, default="", db_default="")
    st2_workflow_params = models.JSONField(default=dict, db_default={}, blank=True)
    created_at = created_field()
    updated_at = updated_field()

    class Meta:
        db_table = "custom_action_buckets"
        verbose_name = "custom action bucket"
        constraints = [
            one_of("trigger_on", ["firing", "resolved"], name="bucket_trigger_on"),
            one_of("on_resolved", ["continue", "stop", "cancel"], name="bucket_on_resolved"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def workflow_ref(self) -> str:
        """The workflow's name in StackStorm; the pack is prepended if missing."""
        pack = self.st2_workflow_pack
        if not pack or self.st2_workflow_name.startswith(f"{pack}."):
            return self.st2_workflow_name
        return f"{pack}.{self.st2_workflow_name}"

    @property
    def group_by_labels(self) -> list[str]:
        """The labels of ``group_by`` in order; empty means all labels."""
        return [name.strip() for name in self.group_by.split(",") if name.strip()]

    @property
    def spec(self) -> matching.BucketSpec:
        """The bucket's input for the matcher."""
        return matching.BucketSpec(
            id=self.pk,
            name=self.name,
            priority=self.priority,
            continue_matching=self.continue_matching,
            alert_name_pattern=self.alert_name_pattern,
            label_matchers=self.label_matchers,
        )

    def clean(self) -> None:
        """Reject a bucket that cannot match or run; the errors name the fields."""
        errors: dict[str, list[str]] = {}
        if self._state.adding and Bucket.objects.count() >= BUCKETS_MAX:
            errors[NON_FIELD_ERRORS] = [
                f"There are {BUCKETS_MAX} buckets, the most that are allowed: delete or change one."
            ]
        self._check_matchers(errors)
        self._check_group_by(errors)
        if self.use_stackstorm and not REF_PATTERN.fullmatch(self.workflow_ref):
            errors["st2_workflow_name"] = [
                "Name the workflow: st2_workflow_name host_down with st2_workflow_pack"
                " remediation, or remediation.host_down."
            ]
        if not self.use_stackstorm and self.st2_workflow_name:
            errors["st2_workflow_name"] = [
                "A bucket is steps or a workflow: clear this, or switch use_stackstorm on."
            ]
        if problem := object_problem(self.st2_workflow_params):
            errors["st2_workflow_params"] = [problem]
        elif found := templating.check(self.st2_workflow_params, known=FIRST_RENDERED):
            errors["st2_workflow_params"] = [str(error) for error in found]
        if errors:
            raise ValidationError(errors)

    def matcher_warnings(self) -> list[str]:
        """Return warnings about patterns that are valid but probably wrong."""
        try:
            warning = matching.literal_warning(self.alert_name_pattern)
            matchers = matching.parse_matchers(self.label_matchers)
        except (matching.PatternError, matching.MatcherError):
            return []
        warnings = [f"alert_name_pattern: {warning}"] if warning else []
        return [
            *warnings,
            *(f"label_matchers: {text}" for text in matching.matcher_warnings(matchers)),
        ]

    def _check_matchers(self, errors: dict[str, list[str]]) -> None:
        try:
            matching.compile_pattern(self.alert_name_pattern)
        except matching.PatternError as error:
            errors["alert_name_pattern"] = [str(error)]
        if len(self.label_matchers) > MATCHERS_LENGTH_MAX:
            return  # its validator reports it
        if redaction.is_masked(self.label_matchers):
            errors["label_matchers"] = [MASKED.format(place="This")]
            return
        try:
            matchers = matching.parse_matchers(self.label_matchers)
        except matching.MatcherError as error:
            errors["label_matchers"] = [str(error)]
        else:
            if len(matchers) > MATCHERS_MAX:
                errors["label_matchers"] = [
                    f"There are {len(matchers)} matchers, the limit is {MATCHERS_MAX}: join values"
                    ' of one label with =~"a|b".'
                ]
            if not self.alert_name_pattern and not matchers:
                errors["alert_name_pattern"] = ["Set alert_name_pattern, label_matchers or both."]

    def _check_group_by(self, errors: dict[str, list[str]]) -> None:
        names = self.group_by_labels
        empty = [name for name in self.group_by.split(",") if not name.strip()]
        if names and empty:
            errors["group_by"] = ["A label is missing between two commas. Remove one comma."]
        elif wrong := [name for name in names if set(name) & set("{}\"'`=!~ ")]:
            errors["group_by"] = [
                f"{wrong[0]} is no label name: write the names alone, separated by commas, such as"
                " alertname, instance."
            ]

    def definition(self) -> dict[str, Any]:
        """Return the definition as JSON: the bucket, its steps and their actions.

        A workflow is the step with order 0.
        """
        steps = sorted(self.steps.all(), key=lambda step: (step.step_order, step.pk))
        plan = [step.definition(step_order) for step_order, step in enumerate(steps, start=1)]
        if self.use_stackstorm:
            plan.insert(0, self._workflow_step().definition(0))
        # Left out if empty, so that adding the column created no new version of each bucket.
        grouping = {"group_by": self.group_by} if self.group_by else {}
        return {
            "bucket": {
                "id": self.pk,
                "name": self.name,
                "description": self.description,
                "is_enabled": self.is_enabled,
                "alert_name_pattern": self.alert_name_pattern,
                "label_matchers": self.label_matchers,
                "priority": self.priority,
                "continue_matching": self.continue_matching,
                "trigger_on": self.trigger_on,
                "on_resolved": self.on_resolved,
                "cooldown_seconds": self.cooldown_seconds,
                **grouping,
                "timeout_seconds": self.timeout_seconds,
                "use_stackstorm": self.use_stackstorm,
            },
            "steps": plan,
        }

    def _workflow_step(self) -> BucketStep:
        """Return the workflow as a step; create its action on first use."""
        ref = self.workflow_ref
        workflows = Action.objects.filter(action_type="workflow", st2_action_ref=ref)
        action = workflows.first()
        if action is None:
            is_taken = Action.objects.filter(name=ref).exists()
            action = Action.objects.create(
                name=f"{ref} (workflow of {self.name})"[:200] if is_taken else ref,
                action_type="workflow",
                st2_action_ref=ref,
                st2_pack=ref.partition(".")[0],
            )
        return BucketStep(
            bucket=self,
            action=action,
            parameters=self.st2_workflow_params,
            timeout_seconds=self.timeout_seconds or WORKFLOW_TIMEOUT_SECONDS,
        )


class BucketStep(models.Model):
    """One action in a bucket, with its parameters and rules."""

    class RunWhen(models.TextChoices):
        SUCCESS = "success"
        FAILURE = "failure"
        ALWAYS = "always"

    class OnFailure(models.TextChoices):
        STOP = "stop"
        CONTINUE = "continue"

    bucket = models.ForeignKey(Bucket, on_delete=models.CASCADE, related_name="steps")
    action = models.ForeignKey(Action, on_delete=models.PROTECT, related_name="steps")
    # Not unique with the bucket: that would break re-ordering on both databases.
    step_order = models.PositiveIntegerField(
        default=1, db_default=1, validators=[MinValueValidator(1)]
    )
    name = models.CharField(
        max_length=200,
        blank=True,
        default="",
        db_default="",
        help_text="Name in templates: steps.NAME.result. Empty: the action's name",
    )
    parameters = models.JSONField(default=dict, db_default={}, blank=True)
    run_when = models.CharField(
        max_length=20, choices=RunWhen, default=RunWhen.SUCCESS, db_default=RunWhen.SUCCESS
    )
    condition = models.TextField(
        blank=True,
        default="",
        db_default="",
        validators=[MaxLengthValidator(CONDITION_LENGTH_MAX)],
    )
    on_failure = models.CharField(
        max_length=20, choices=OnFailure, default=OnFailure.STOP, db_default=OnFailure.STOP
    )
    max_attempts = models.PositiveIntegerField(
        default=1, db_default=1, validators=[MinValueValidator(1), MaxValueValidator(10)]
    )
    retry_delay_seconds = models.PositiveIntegerField(
        default=5, db_default=5, validators=[MaxValueValidator(DAY)]
    )
    timeout_seconds = models.PositiveIntegerField(
        default=300, db_default=300, validators=[MinValueValidator(1), MaxValueValidator(DAY)]
    )

    class Meta:
        db_table = "custom_action_bucket_steps"
        verbose_name = "step"
        constraints = [
            one_of("run_when", ["success", "failure", "always"], name="step_run_when"),
            one_of("on_failure", ["stop", "continue"], name="step_on_failure"),
            models.CheckConstraint(
                condition=models.Q(max_attempts__gte=1), name="step_max_attempts"
            ),
        ]

    def __str__(self) -> str:
        return f"#{self.pk}: {self.bucket_id}/{self.step_order}"

    @property
    def action_name(self) -> str:
        """The name of the action."""
        return self.action.name

    def clean(self) -> None:
        """Reject templates that cannot be rendered; the errors name the fields."""
        errors: dict[str, list[str]] = {}
        if problem := object_problem(self.parameters):
            errors["parameters"] = [problem]
        elif found := self.template_errors():
            errors["parameters"] = [str(error) for error in found]
        if 0 < len(self.condition) <= CONDITION_LENGTH_MAX and (
            found := templating.check_condition(
                self.condition, known=FIRST_RENDERED, secrets=config_secrets()
            )
        ):
            errors["condition"] = [error.message for error in found]
        if errors:
            raise ValidationError(errors)

    def template_errors(self) -> list[templating.TemplateError]:
        """Return the errors of the parameters, alone and in the action's mapping."""
        action = self.action if self.action_id else None
        is_local = action is not None and not action.use_stackstorm
        command = templating.NO_COMMAND if action is None else action.command
        mapping = (
            {} if action is None or object_problem(action.st2_parameters) else action.st2_parameters
        )
        found = templating.check(
            self.parameters,
            known=FIRST_RENDERED,
            is_local=is_local,
            command=templating.step_command(mapping, command),
        )
        if mapping:
            found += templating.check(
                mapping,
                tainted=templating.tainted_parameters(self.parameters),
                is_local=is_local,
                command=command,
            )
        return found

    def definition(self, step_order: int) -> dict[str, Any]:
        """Return the step as JSON; ``step_order`` counts from 1."""
        return {
            "step_order": step_order,
            "name": self.name or self.action.name,
            "action": self.action.definition(),
            "parameters": self.parameters,
            "run_when": self.run_when,
            "condition": self.condition,
            "on_failure": self.on_failure,
            "max_attempts": self.max_attempts,
            "retry_delay_seconds": self.retry_delay_seconds,
            "timeout_seconds": self.timeout_seconds,
        }
