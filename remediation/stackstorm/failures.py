"""Judge the answers that are no success: can it be tried again, and can it have happened?"""

from enum import Enum

from remediation.stackstorm.answers import Answer
from remediation.stackstorm.errors import StackStormError, StackStormRejected, StackStormUnavailable
from remediation.stackstorm.remedies import USE_HTTPS, remedy_for, remedy_for_certificate
from remediation.stackstorm.transport import NoAnswerError


class Verdict(Enum):
    """What an answer that is no success means for the request."""

    REJECTED = "StackStorm did nothing, and the same request would be rejected again"
    REFUSED = "StackStorm did nothing, and the same request can succeed later"
    GATEWAY = "a proxy answered; StackStorm may have got the request"
    UNCERTAIN = "StackStorm may have carried the request out, or may still"


# A POST with another 4xx may have been carried out.
_POST_REJECTIONS = frozenset({400, 403, 404, 413})
# A time-out, and "too early": the same request can succeed later.
_PASSING = frozenset({408, 425})
_GATEWAY = frozenset({502, 503, 504})
_REFUSALS = frozenset({401, 429})
_API_IS_DOWN = "Nginx is unable to reach st2api"


def verdict_on(method: str, status: int, message: str) -> Verdict:
    """Return what an answer with this status and error text means. Every rule is here.

    A 401 is never the step's fault: it waits until the credentials are right. A redirect and a
    limiter (429) act before StackStorm does, and so does StackStorm's own nginx, whose text says
    that it has not reached st2api. Of another proxy nobody knows what it has passed on.
    """
    if status in _REFUSALS or 300 <= status < 400:
        return Verdict.REFUSED
    if status in _GATEWAY:
        return Verdict.REFUSED if message.startswith(_API_IS_DOWN) else Verdict.GATEWAY
    if method == "POST":
        return Verdict.REJECTED if status in _POST_REJECTIONS else Verdict.UNCERTAIN
    is_rejection = 400 <= status < 500 and status not in _PASSING
    return Verdict.REJECTED if is_rejection else Verdict.UNCERTAIN


def failure_of(method: str, path: str, answer: Answer, *, login_remedy: str) -> StackStormError:
    """Return the error that ``answer``, whose status is no success, amounts to.

    ``login_remedy``: what helps against a 401.
    """
    words = answer.words or "no explanation"
    verdict = verdict_on(method, answer.status, words)
    if verdict is Verdict.REJECTED:
        return StackStormRejected(method, path, answer.status, words, remedy_for(words))
    remedy = ""
    if answer.status == 401:
        remedy = login_remedy
    elif 300 <= answer.status < 400:
        words, remedy = f"{words} to {answer.location or 'nowhere'}", USE_HTTPS
    return StackStormUnavailable(
        method,
        path,
        words,
        may_have_been_sent=verdict is not Verdict.REFUSED,
        status=answer.status,
        remedy=remedy,
        by_gateway=verdict is Verdict.GATEWAY,
        retry_after=answer.retry_after,
    )


def no_answer(method: str, path: str, error: NoAnswerError) -> StackStormUnavailable:
    """Return the error that a request without an answer amounts to."""
    return StackStormUnavailable(
        method,
        path,
        error.message,
        may_have_been_sent=error.may_have_been_sent,
        remedy=remedy_for_certificate(error.message),
    )
