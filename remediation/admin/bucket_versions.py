"""Bucket versions: what a bucket was, who changed it, and what the change was."""

from __future__ import annotations

import difflib

from django.contrib import admin
from django.db.models import QuerySet

from remediation.admin import formatting
from remediation.admin.read_only import ReadOnlyModelAdmin
from remediation.models import Bucket, BucketVersion


@admin.register(BucketVersion)
class BucketVersionAdmin(ReadOnlyModelAdmin[BucketVersion]):
    """Versions of all buckets, newest first."""

    list_display = ["name", "number", "actor", "made", "short_sha256"]
    id_ordered_filters = frozenset({"bucket__exact"})
    list_select_related = ["bucket"]
    search_fields = ["bucket__name__begins", "sha256__exact"]
    search_help_text = "The begin of a bucket's name, or a whole sha256"
    fieldsets = [
        (
            None,
            {
                "fields": [
                    ("bucket_link", "number", "actor", "made"),
                    "change",
                    "definition_block",
                    "sha256",
                ]
            },
        )
    ]

    def list_queryset(self, rows: QuerySet[BucketVersion]) -> QuerySet[BucketVersion]:
        """Leave out the definitions."""
        return rows.defer("definition")

    def tools(self, obj: BucketVersion) -> list[str]:
        """Return the bucket's other versions and its runs."""
        versions = formatting.list_url(BucketVersion, bucket=obj.bucket_id)
        return [
            formatting.tool_link(formatting.change_url(Bucket, obj.bucket_id), "Bucket"),
            formatting.tool_link(versions, "All versions of this bucket"),
        ]

    @admin.display(description="version")
    def name(self, version: BucketVersion) -> str:
        """Return the bucket's name as it is now."""
        return str(version.bucket)

    @admin.display(description="bucket")
    def bucket_link(self, version: BucketVersion) -> str:
        """Return the link to the bucket as it is now."""
        return formatting.row_link(version.bucket)

    @admin.display(description="made (UTC)")
    def made(self, version: BucketVersion) -> str:
        """Return when it was made."""
        return formatting.utc_time(version.created_at)

    @admin.display(description="sha256")
    def short_sha256(self, version: BucketVersion) -> str:
        """Return the begin of the digest."""
        return version.sha256[:12]

    @admin.display(description="what changed")
    def change(self, version: BucketVersion) -> str:
        """Return the lines that differ from the version before."""
        older = BucketVersion.objects.filter(bucket=version.bucket_id, number__lt=version.number)
        before = older.order_by("number").last()
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
        """Return the whole definition."""
        return formatting.json_block(version.definition)
