"""The search of the admin's lists, with a limit of its length."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib.admin.views.main import SEARCH_VAR, ChangeList, ChangeListSearchForm
from django.db.models import QuerySet
from django.http import HttpRequest

from remediation.models.text_lookups import SEARCH_LENGTH_MAX


class SearchForm(ChangeListSearchForm):
    """The search text of a list."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields[SEARCH_VAR] = forms.CharField(
            required=False,
            strip=False,
            max_length=SEARCH_LENGTH_MAX,
            error_messages={
                "max_length": f"Not searched: a search has at most {SEARCH_LENGTH_MAX} characters."
                " All rows are shown."
            },
        )


class BoundedSearchList(ChangeList):
    """A list that shows an error and all rows for a search that is too long."""

    search_form_class = SearchForm

    def get_queryset(self, request: HttpRequest, *args: Any, **kwargs: Any) -> QuerySet[Any]:
        """Return the filtered rows, and leave a refused search out of the links."""
        if not self.query:
            self.params.pop(SEARCH_VAR, None)
            self.filter_params.pop(SEARCH_VAR, None)
        return super().get_queryset(request, *args, **kwargs)


class BoundedSearch:
    """Let a ModelAdmin limit the length of a search."""

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        """Return the list class."""
        return BoundedSearchList
