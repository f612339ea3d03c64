"""Admin of bucket versions: each definition, its author, and the difference to the last one."""

from __future__ import annotations

import difflib
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from remediation.admin import formatting
from remediation.admin.read_only import ReadOnlyModelAdmin
from remediation.models import Bucket, BucketVersion


@admin.register(BucketVersion)
class BucketVersionAdmin(ReadOnlyModelAdmin[BucketVersion]):
    """Bucket versions, newest first."""

    list_display = ["name", "number", "shown_actor", "created", "short_sha256"]
    id_ordered_filters = frozenset({"bucket__exact"})
    list_select_related = ["bucket"]
    search_fields = ["bucket__name__begins", "sha256__exact"]
    search_help_text = "Start of a bucket name, or a complete sha256"
    fieldsets = [
        (
            None,
            {
                "fields": [
                    ("bucket_link", "number", "shown_actor", "created"),
                    "change",
                    "definition_block",
                    "sha256",
                ]
            },
        )
    ]

    def list_queryset(self, rows: QuerySet[BucketVersion]) -> QuerySet[BucketVersion]:
        """Defer the definitions, which the list does not show."""
        return rows.defer("definition")

    def get_object(self, request: HttpRequest, *args: Any, **kwargs: Any) -> BucketVersion | None:
        """Add the previous version, for the diff."""
        version = super().get_object(request, *args, **kwargs)
        if version:
            older = self.get_queryset(request).filter(
                bucket=version.bucket_id, number__lt=version.number
            )
            version.previous = older.order_by("number").last()  # type: ignore[attr-defined]  # no column
        return version

    def tools(self, obj: BucketVersion) -> list[str]:
        """Return links to the bucket and its other versions."""
        versions = formatting.list_url(BucketVersion, bucket=obj.bucket_id)
        return [
            formatting.tool_link(formatting.change_url(Bucket, obj.bucket_id), "Bucket"),
            formatting.tool_link(versions, "All versions of this bucket"),
        ]

    @admin.display(description="bucket")
    def name(self, version: BucketVersion) -> str:
        """Return the bucket's current name."""
        return str(version.bucket)

    @admin.display(description="bucket")
    def bucket_link(self, version: BucketVersion) -> str:
        """Return a link to the current bucket."""
        return formatting.row_link(version.bucket)

    @admin.display(description="created (UTC)")
    def created(self, version: BucketVersion) -> str:
        """Return the time when the version was recorded."""
        return formatting.utc_time(version.created_at)

    @admin.display(description="sha256")
    def short_sha256(self, version: BucketVersion) -> str:
        """Return the start of the digest."""
        return version.sha256[:12]

    @admin.display(description="changes")
    def change(self, version: BucketVersion) -> str:
        """Return a diff to the previous version."""
        before: BucketVersion | None = version.previous  # type: ignore[attr-defined]  # no column
        if before is None:
            return "This is the first version."
        lines = difflib.unified_diff(
            formatting.truncated_json(before.definition).splitlines(),
            formatting.truncated_json(version.definition).splitlines(),
            f"version {before.number}",
            f"version {version.number}",
            lineterm="",
        )
        return formatting.text_block("\n".join(lines))

    @admin.display(description="definition")
    def definition_block(self, version: BucketVersion) -> str:
        """Return the definition as JSON."""
        return formatting.json_block(version.definition)
