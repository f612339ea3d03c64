"""Judge the answers that are no success: can it be tried again, and can it have happened?"""

from remediation.stackstorm.answers import Answer
from remediation.stackstorm.errors import StackStormError, StackStormRejected, StackStormUnavailable
from remediation.stackstorm.remedies import TRUST_CERTIFICATE, USE_HTTPS, remedy_for
from remediation.stackstorm.transport import NoAnswerError

# A POST with another refusal, or with none that we know, may have been carried out.
_POST_REFUSALS = frozenset({400, 403, 404, 413})
# Refusals of the moment: a time-out, "too early", "too many requests".
_PASSING = frozenset({408, 425, 429})
_API_IS_DOWN = "Nginx is unable to reach st2api"


def failure_of(method: str, path: str, answer: Answer, *, login_remedy: str) -> StackStormError:
    """Return the error that ``answer``, whose status is no success, amounts to.

    ``login_remedy``: what helps against a 401, which is never the step's fault: it waits.
    """
    words = answer.words or "no explanation"
    if answer.status == 401:
        return _not_carried_out(method, path, answer.status, words, login_remedy)
    if 300 <= answer.status < 400:
        words = f"{words} to {answer.location or 'nowhere'}"
        return _not_carried_out(method, path, answer.status, words, USE_HTTPS)
    if answer.status == 503 and words.startswith(_API_IS_DOWN):
        return _not_carried_out(method, path, answer.status, words, "")
    if _is_refusal(method, answer.status):
        return StackStormRejected(method, path, answer.status, words, remedy_for(words))
    return StackStormUnavailable(method, path, words, may_have_been_sent=True, status=answer.status)


def no_answer(method: str, path: str, error: NoAnswerError) -> StackStormUnavailable:
    """Return the error that a request without an answer amounts to."""
    return StackStormUnavailable(
        method,
        path,
        error.message,
        may_have_been_sent=error.may_have_been_sent,
        remedy=TRUST_CERTIFICATE if "CERTIFICATE_VERIFY_FAILED" in error.message else "",
    )


def _not_carried_out(
    method: str, path: str, status: int, words: str, remedy: str
) -> StackStormUnavailable:
    return StackStormUnavailable(
        method, path, words, may_have_been_sent=False, status=status, remedy=remedy
    )


def _is_refusal(method: str, status: int) -> bool:
    if method == "POST":
        return status in _POST_REFUSALS
    return 400 <= status < 500 and status not in _PASSING
