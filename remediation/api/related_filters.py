"""Filters of history lists by related rows: by alert, by action and by target."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from django.db.models import Exists, OuterRef, Q, QuerySet

from remediation.api.filter_types import ExactTextFilter
from remediation.models import Action, ActionExecution, Alert

# Related rows that an index may find to be listed by their ids; for more, the list is scanned.
RELATED_MAX = 500
SCHEMES = ("", "http://", "https://")


class RelatedFilter(ExactTextFilter):
    """Filter by related rows. ``rows`` returns them, by an index, for a value of the filter.

    ``key``: their column that has the id of the listed row, or of its foreign key ``column``.
    """

    def __init__(
        self, rows: Callable[[str], QuerySet[Any]], *, column: str, key: str = "pk", label: str
    ) -> None:
        super().__init__(label=label)
        self.rows, self.column, self.key = rows, column, key

    def few_ids(self, value: str) -> list[int] | None:
        """Return the ids in ``column`` to list, or None if there are too many rows."""
        ids = list(self.rows(value).order_by().values_list(self.key, flat=True)[: RELATED_MAX + 1])
        return list(set(ids)) if len(ids) <= RELATED_MAX else None

    def filter(self, qs: Any, value: Any) -> Any:
        """Return the listed rows, by their ids or with a subquery for each row of a scan."""
        if not value:
            return qs
        ids = self.few_ids(value)
        if ids is not None:
            return qs.filter(**{f"{self.column}__in": ids})
        return qs.filter(Exists(self.rows(value).filter(**{self.key: OuterRef(self.column)})))


def alerts_named(name: str) -> QuerySet[Any]:
    """Return the alerts with this name."""
    return Alert.objects.filter(alert_name=name)


def alerts_of_target(host: str) -> QuerySet[Any]:
    """Return the alerts whose instance has this host, without scheme, port and path.

    The conditions are ranges of the index of instances.
    """
    name = f"[{host}]" if ":" in host else host
    matches = Q(instance=host)  # an IPv6 address may have no brackets
    for scheme in SCHEMES:
        text = f"{scheme}{name}"
        matches |= Q(instance=text)
        for end in (":", "/"):
            # The next character in order ends the range of texts that begin with text and end.
            after = chr(ord(end) + 1)
            matches |= Q(instance__gte=f"{text}{end}", instance__lt=f"{text}{after}")
    return Alert.objects.filter(matches)


def executions_of_action(name: str) -> QuerySet[Any]:
    """Return the executions of the action with this name."""
    return ActionExecution.objects.filter(action__name=name)


class ActionNameFilter(ExactTextFilter):
    """Filter executions by the name of their action, by the index of actions and ids."""

    def filter(self, qs: Any, value: Any) -> Any:
        """Return the executions; none for an unknown name."""
        if not value:
            return qs
        action = Action.objects.filter(name=value).values_list("pk", flat=True).first()
        return qs.filter(action=action) if action else qs.none()


def alerts_with_fingerprint(fingerprint: str) -> QuerySet[Any]:
    """Return the episodes of a fingerprint."""
    return Alert.objects.filter(fingerprint=fingerprint)


by_fingerprint = partial(RelatedFilter, alerts_with_fingerprint, label="fingerprint of the alert")
by_alert_name = partial(RelatedFilter, alerts_named, label="name of the alert")
by_target = partial(RelatedFilter, alerts_of_target, label="host of the alert's instance")
by_action_name = partial(RelatedFilter, executions_of_action, label="name of an action that ran")
