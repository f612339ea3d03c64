"""Recordings that the sandbox does not play yet."""

NOT_PLAYED = {
    "children-by-parent-narrow",
    "children-of-finished-workflow-narrow",
    "children-of-running-workflow",
    "children-of-running-workflow-depth-1",
}
