"""Transitions: the append-only record of every status change."""

from __future__ import annotations

from types import TracebackType
from typing import Any, ClassVar, Never, Protocol, Self, TypeVar

from django.db import connection, models, transaction

from remediation.models.actor import Cause, actor_kind_field
from remediation.models.fields import ExactCharField, KeyField, one_of
from remediation.models.inserts import insert
from remediation.models.transition_log import log_on_commit
from remediation.values.json_values import fit
from remediation.values.text import fit_text


class Subject(Protocol):
    """A row with a status: an alert, a run or an execution."""

    SUBJECT_TYPE: ClassVar[str]
    pk: Any
    request_id: str

    @property
    def story_run_id(self) -> int | None:
        """The id of the run that the row is or belongs to."""


_Row = TypeVar("_Row", bound=models.Model)


class AppendOnlyError(Exception):
    """An append-only row was about to be changed or deleted."""


class IllegalTransitionError(Exception):
    """A row's status does not allow the move; another process may have moved it first."""


class AppendOnlyQuerySet(models.QuerySet[_Row]):
    """Rows that can be added and read only."""

    def update(self, **_values: Any) -> Never:
        """Raise AppendOnlyError."""
        raise AppendOnlyError(f"{self.model.__name__} rows cannot be changed.")

    def delete(self) -> Never:
        """Raise AppendOnlyError."""
        raise AppendOnlyError(f"{self.model.__name__} rows cannot be deleted.")


class AppendOnlyManager(models.Manager[_Row]):
    """The manager of append-only rows."""

    def get_queryset(self) -> AppendOnlyQuerySet[_Row]:
        """Return all rows."""
        return AppendOnlyQuerySet(self.model, using=self._db)


class AppendOnlyModel(models.Model):
    """A row that is written once and never changed."""

    class Meta:
        abstract = True

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Insert the row. Raises AppendOnlyError for a row that exists."""
        if not self._state.adding:
            raise AppendOnlyError(f"{self} cannot be changed.")
        super().save(*args, **kwargs)

    def delete(self, *_args: Any, **_kwargs: Any) -> Never:
        """Raise AppendOnlyError."""
        raise AppendOnlyError(f"{self} cannot be deleted.")


class Transition(AppendOnlyModel):
    """A status change of an alert, a run or an execution.

    ``request_id``: the call that opened the alert's episode. ``cause_request_id``: the call that
    caused this change. There is no foreign key, so the record outlives its subject.
    """

    class SubjectType(models.TextChoices):
        ALERT = "alert"
        RUN = "run"
        EXECUTION = "execution"

    at = models.DateTimeField()
    subject_type = models.CharField(max_length=20, choices=SubjectType)
    subject_id = models.BigIntegerField()
    run_id = models.BigIntegerField(null=True, blank=True)
    request_id = KeyField(max_length=64)
    cause_request_id = KeyField(max_length=64, blank=True)
    from_status = models.CharField(max_length=20, blank=True)
    to_status = ExactCharField(max_length=20)
    actor = ExactCharField(max_length=150)
    actor_kind = actor_kind_field()
    reason = models.TextField(blank=True)
    data = models.JSONField(default=dict, blank=True)

    # The row that changed, of a transition that this process has made.
    subject: Subject | None = None

    objects = AppendOnlyManager()

    class Meta:
        db_table = "transitions"
        constraints = [
            one_of("subject_type", ["alert", "run", "execution"], name="transition_subject_type")
        ]
        indexes = [
            # The history of one row, and all changes that follow from one request.
            models.Index(fields=["subject_id", "subject_type"], name="transition_subject"),
            models.Index(fields=["request_id"], name="transition_request"),
            models.Index(fields=["cause_request_id"], name="transition_cause"),
            models.Index(fields=["run_id"], name="transition_run"),
            models.Index(fields=["at"], name="transition_at"),
        ]

    def __str__(self) -> str:
        return (
            f"{self.subject_type} #{self.subject_id}: {self.from_status or 'new'}"
            f" to {self.to_status}"
        )

    @classmethod
    def of(
        cls,
        subject: Subject,
        *,
        cause: Cause,
        from_status: str,
        to_status: str,
        reason: str = "",
        data: dict[str, Any] | None = None,
    ) -> Transition:
        """Return the unsaved row."""
        row = cls(
            at=cause.at,
            subject_type=subject.SUBJECT_TYPE,
            subject_id=subject.pk,
            run_id=subject.story_run_id,
            request_id=subject.request_id,
            cause_request_id=cause.request_id,
            from_status=from_status,
            to_status=to_status,
            actor=cause.actor,
            actor_kind=cause.actor_kind,
            reason=fit_text(reason),
            data=fit(data or {}),
        )
        row.subject = subject
        return row

    @classmethod
    def write(cls, *transitions: Transition, batch: TransitionBatch | None = None) -> None:
        """Insert rows now, or when ``batch`` ends."""
        if batch is None:
            insert(transitions)
            log_on_commit(transitions)
        else:
            batch.rows.extend(transitions)


class TransitionBatch:
    """The transitions of one transaction, inserted by one statement at the end of the block.

    Pass it to each move of the block. The block must be inside the transaction of the moves, so
    that no move is committed without its row.
    """

    def __init__(self) -> None:
        self.rows: list[Transition] = []

    def __enter__(self) -> Self:
        if not connection.in_atomic_block:
            raise transaction.TransactionManagementError(
                "A batch of transitions must be inside the transaction of its moves."
            )
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error_type is None:
            insert(self.rows)
            log_on_commit(self.rows)
