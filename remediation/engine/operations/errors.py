"""The error that all operations raise."""


class NotPossible(Exception):
    """The operation is not possible now; the message says why and what to do."""
