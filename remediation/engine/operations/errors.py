"""The error that every operation raises when it cannot be done."""


class NotPossible(Exception):
    """What was asked for cannot be started now; the text says why and what to do."""
