"""Save buckets, steps and actions. Every change creates a bucket version in its transaction.

A change locks the affected buckets in the order of their ids, so that step orders and version
numbers are unique. The API and the admin both use this module.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.db import transaction
from django.db.models import Model, ProtectedError

from remediation import templating
from remediation.models import Action, Bucket, BucketStep, BucketVersion, Cause
from remediation.models.bucket import STEPS_MAX

Errors = dict[str, list[str]]  # by field

TOO_MANY_STEPS = (
    f"A bucket has at most {STEPS_MAX} steps: split it into several buckets with"
    " continue_matching, or use a workflow."
)


class HasHistoryError(Exception):
    """A row cannot be deleted because history refers to it."""


@contextmanager
def locked(row: Action | Bucket | BucketStep) -> Iterator[None]:
    """Lock a definition in a transaction, so that nobody changes it between a check and the save.

    Read the row again inside the block: it may have changed before, or be gone.
    """
    with transaction.atomic():
        if isinstance(row, Action):
            list(Action.objects.select_for_update().filter(pk=row.pk))
        else:
            _lock([row.bucket_id if isinstance(row, BucketStep) else row.pk])
        yield


def save_bucket(
    bucket: Bucket, steps: Sequence[BucketStep] | None, *, cause: Cause
) -> BucketVersion:
    """Save a bucket and replace its steps by ``steps``, which are unsaved and in order.

    None keeps the steps. Raises ValidationError by field; fields of a step have names such as
    ``steps.0.parameters``.
    """
    with templating.save_time_limit(), transaction.atomic():
        _lock([bucket.pk])
        errors = _errors_of(bucket)
        if steps is not None:
            errors |= _errors_of_steps(bucket, steps)
            errors |= _in_field("steps", step_count_problems(bucket, step_count=len(steps)))
        if errors:
            raise ValidationError(errors)
        bucket.save()
        if steps is not None:
            bucket.steps.all().delete()
            for step in steps:
                step.bucket = bucket  # sets the id of a new bucket
            BucketStep.objects.bulk_create(steps)
        return record(bucket, cause=cause)


def save_action(action: Action, *, cause: Cause) -> None:
    """Save an action and create new versions of the buckets that use it."""
    with templating.save_time_limit(), transaction.atomic():
        saved = Action.objects.select_for_update().filter(pk=action.pk).first()
        buckets = _lock(_users_of(action, saved)) if saved else []
        if saved is None or saved.st2_action_ref != action.st2_action_ref:
            _reset_check(action)
        errors = _errors_of(action)
        if "st2_parameters" not in errors:
            # The steps that use the action must fit its mapping.
            errors |= _in_field("st2_parameters", user_problems(action))
        if errors:
            raise ValidationError(errors)
        action.updated_at = cause.at
        action.save()
        for bucket in buckets:
            BucketVersion.record(bucket, cause=cause)


def save_step(step: BucketStep, *, cause: Cause) -> BucketVersion:
    """Save a step at the position ``step_order``; later steps move down."""
    with transaction.atomic():
        _lock([step.bucket_id])
        step.full_clean()
        step.save()
        steps = _steps(step.bucket_id, without=step)
        steps.insert(step.step_order - 1, step)
        _renumber(steps)
        return record(step.bucket, cause=cause)


def delete_step(step: BucketStep, *, cause: Cause) -> BucketVersion:
    """Delete a step; later steps move up."""
    with transaction.atomic():
        _lock([step.bucket_id])
        bucket = step.bucket
        step.delete()
        return record(bucket, cause=cause)


def delete_bucket(bucket: Bucket) -> None:
    """Delete a bucket that has no history. Raises HasHistoryError."""
    _delete(bucket)


def delete_action(action: Action) -> None:
    """Delete an action that no bucket has ever used. Raises HasHistoryError."""
    with transaction.atomic():
        # A running run uses its bucket version, whose actions no foreign key protects.
        versions = BucketVersion.objects.only("definition").iterator()
        if any(step["action"]["id"] == action.pk for version in versions for step in version.steps):
            raise HasHistoryError(_has_history(action))
        _delete(action)


def record(bucket: Bucket, *, cause: Cause) -> BucketVersion:
    """Number the steps of a saved bucket from 1, check the bucket and create its version.

    Raises ValidationError; the caller then has to roll its transaction back.
    """
    with transaction.atomic():
        (saved,) = _lock([bucket.pk])
        steps = _steps(bucket.pk)
        _renumber(steps)
        check(saved, step_count=len(steps))
        saved.updated_at = cause.at
        saved.save(update_fields=["updated_at"])
        return BucketVersion.record(saved, cause=cause)


def check(bucket: Bucket, *, step_count: int) -> None:
    """Raise ValidationError by field if the bucket could not run."""
    if problems := step_count_problems(bucket, step_count=step_count):
        raise ValidationError({"steps": problems})


def step_count_problems(bucket: Bucket, *, step_count: int) -> list[str]:
    """Return why a bucket cannot have this number of steps."""
    problems = []
    if bucket.use_stackstorm and step_count:
        problems.append(
            "A bucket has either steps or a workflow: remove the steps, or switch use_stackstorm"
            " off and clear st2_workflow_name."
        )
    if bucket.is_enabled and not bucket.use_stackstorm and not step_count:
        problems.append(
            "The bucket has no steps: add at least one, or set st2_workflow_name and switch"
            " use_stackstorm on, or disable the bucket (is_enabled false) until it has steps."
        )
    if step_count > STEPS_MAX:
        problems.append(TOO_MANY_STEPS)
    return problems


def _lock(buckets: Iterable[int | None]) -> list[Bucket]:
    """Read and lock the buckets with these ids, in the order of the ids."""
    ids = [pk for pk in buckets if pk is not None]
    return list(Bucket.objects.filter(pk__in=ids).order_by("pk").select_for_update())


def _users_of(action: Action, saved: Action) -> set[int]:
    """Return the ids of the buckets that use the action before or after the change."""
    ids = set(Bucket.objects.filter(steps__action=action).values_list("pk", flat=True))
    refs = {saved.st2_action_ref, action.st2_action_ref}
    workflows = Bucket.objects.filter(use_stackstorm=True)
    return ids | {bucket.pk for bucket in workflows if bucket.workflow_ref in refs}


def user_problems(action: Action) -> list[str]:
    """Return the problems of the steps that use an action, which may have unsaved changes."""
    steps = BucketStep.objects.filter(action=action.pk).select_related("bucket")
    problems = []
    for step in steps.order_by("bucket", "step_order"):
        step.action = action
        problems += [
            f"In the bucket {step.bucket}, step {step.step_order}: {error}"
            for error in step.template_errors()
        ]
    return problems


def _reset_check(action: Action) -> None:
    """Reset StackStorm's check result: it belongs to the previous ``st2_action_ref``."""
    action.st2_check, action.st2_check_message = Action.Check.UNCHECKED, ""
    action.st2_checked_at, action.st2_runner = None, ""
    action.st2_parameter_names, action.st2_secret_parameters = [], []
    action.st2_command, action.st2_change, action.st2_changed_at = {}, "", None


def _steps(bucket_id: int, *, without: BucketStep | None = None) -> list[BucketStep]:
    steps = BucketStep.objects.filter(bucket=bucket_id).order_by("step_order", "pk")
    return [step for step in steps if step != without]


def _renumber(steps: Sequence[BucketStep]) -> None:
    changed = []
    for step_order, step in enumerate(steps, start=1):
        if step.step_order != step_order:
            step.step_order = step_order
            changed.append(step)
    BucketStep.objects.bulk_update(changed, ["step_order"])


def _errors_of(row: Model) -> Errors:
    try:
        row.full_clean()
    except ValidationError as error:
        return error.message_dict
    return {}


def _errors_of_steps(bucket: Bucket, steps: Sequence[BucketStep]) -> Errors:
    """Set the order of the steps; return their errors, by names such as steps.0.parameters."""
    errors: Errors = {}
    for index, step in enumerate(steps):
        step.step_order = index + 1
        try:
            step.full_clean(exclude=["bucket"])
        except ValidationError as error:
            for name, texts in error.message_dict.items():
                path = f"steps.{index}" + ("" if name == NON_FIELD_ERRORS else f".{name}")
                errors[path] = texts
    return errors


def _in_field(name: str, problems: list[str]) -> Errors:
    return {name: problems} if problems else {}


def _delete(row: Model) -> None:
    try:
        row.delete()
    except ProtectedError as error:
        raise HasHistoryError(_has_history(row)) from error


def _has_history(row: Model) -> str:
    return (
        f"The {row._meta.verbose_name} {row} has history and cannot be deleted: disable it instead"
        " (is_enabled false)."
    )
