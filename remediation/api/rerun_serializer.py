"""How executions that people ran again in StackStorm look on the wire."""

from __future__ import annotations

from rest_framework import serializers

from remediation.models import Rerun


class RerunSerializer(serializers.ModelSerializer[Rerun]):
    """An execution that somebody ran again in StackStorm; it is not followed."""

    class Meta:
        model = Rerun
        fields = [
            "st2_execution_id",
            "rerun_of",
            "st2_status",
            "st2_user",
            "st2_web_url",
            "started_at",
        ]
