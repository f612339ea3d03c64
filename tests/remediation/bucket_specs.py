"""Bucket specs for the tests of matching."""

from remediation.matching import BucketSpec


def spec(number: int = 1, **overrides: object) -> BucketSpec:
    """Return the spec of bucket ``number``, which matches nothing unless overridden."""
    values = {
        "id": number,
        "name": f"b{number}",
        "priority": 100,
        "continue_matching": False,
        "alert_name_pattern": "",
        "label_matchers": "",
    }
    return BucketSpec(**(values | overrides))  # type: ignore[arg-type]  # by name
