"""Notices about open inquiries: the questions, how to answer, and the effect of a cancel."""

import pytest
from django.utils import timezone

from remediation import clock
from remediation.engine.outcomes import stored_inquiries
from remediation.models import ActionExecution, BucketRun
from remediation.stackstorm import read_inquiry
from remediation.stackstorm.executions import read_execution
from tests.factories import make_bucket, make_execution, make_run
from tests.remediation.admin.test_notices import EVIL, notices_of, text_of
from tests.remediation.stackstorm.recordings import recording

ASK = "6b0ab195f61463f7f50ce075"
WEB = "https://st2.example.com/#/history/6b0ab193f1d0b61be1aa7fd0"


def stored(name="inquiry-in-workflow-execution"):
    return stored_inquiries.as_stored([read_inquiry(read_execution(recording(name).body))])


def asking(status="paused", run=None, **columns):
    defaults = {
        "status": "running",
        "started_at": timezone.now(),
        "st2_execution_id": "6b0ab193f1d0b61be1aa7fd0",
        "st2_web_url": WEB,
        "st2_action_execution_status": status,
        "asking_since": timezone.now(),
        "inquiries": stored(),
        "inquiries_checked_at": timezone.now(),
    }
    return make_execution(run, **defaults | columns)


@pytest.mark.parametrize("status", ["paused", "pausing", "resuming", "running"])
def test_notice_shows_the_inquiry_its_question_and_the_command(operator, status):
    execution = asking(status)

    for row in (execution, execution.run):
        [(text, is_urgent)] = notices_of(operator, row)
        assert is_urgent
        assert "needs your action in StackStorm" in text
        assert f"<code>{ASK}</code> of task ask, route ops" in text
        assert "approve (boolean, required): Reboot the host?" in text
        assert "reason (string): Why" in text
        assert "Allowed to answer: st2admin, alice." in text
        assert f"<code>st2 inquiry respond {ASK}</code>" in text
        assert f'href="{WEB}"' in text
        assert "StackStorm expires it 60 min after it was opened" in text
        assert "PoundCake cancels the workflow after 86400 s (ST2_INQUIRY_TIMEOUT)" in text
        assert "execution resume" not in text, "resume hangs while an inquiry is open"


def test_notice_about_a_plain_inquiry_does_not_mention_a_cancel(operator):
    execution = asking("pending", inquiries=stored("inquiry-plain-pending"))

    text = text_of(operator, execution)

    assert "when (string, one of now, tonight, default now): When" in text
    assert "the execution ends as timeout after 86400 s (ST2_INQUIRY_TIMEOUT)" in text
    assert "StackStorm cannot cancel an open inquiry" in text
    assert "PoundCake cancels" not in text


def test_notice_about_a_paused_workflow_suggests_no_resume_command(operator):
    text = text_of(operator, asking(inquiries=[]))

    assert "a user paused it" in text
    assert "st2 execution resume" not in text


@pytest.mark.parametrize("checked_at", [None, clock.EPOCH])
def test_notice_before_the_inquiry_was_read(operator, checked_at):
    text = text_of(operator, asking(inquiries=[], inquiries_checked_at=checked_at))

    assert "The next poll reads its inquiry from StackStorm." in text


def test_inquiry_without_questions_shows_the_command(operator):
    text = text_of(operator, asking("pending", inquiries=[]))

    assert "st2 inquiry respond 6b0ab193f1d0b61be1aa7fd0" in text


def test_markup_in_an_inquiry_is_escaped(operator):
    [inquiry] = stored()
    inquiry |= {"task": EVIL, "route": EVIL, "users": [EVIL], "asked_at": EVIL}
    inquiry["schema"] = {"properties": {EVIL: {"description": EVIL, "type": EVIL}}}

    text = text_of(operator, asking(inquiries=[inquiry]))

    assert "&lt;script&gt;" in text


@pytest.mark.parametrize("status", ["pending", "paused"])
def test_notice_about_a_cancel_says_that_the_inquiry_stays_open(operator, status):
    execution = asking(status)
    BucketRun.objects.update(status="running", stop="cancel", reason="wrong host")

    for row in (execution, execution.run):
        text = text_of(operator, row)
        assert "StackStorm cannot cancel an open inquiry" in text
        mentions_cancel = "StackStorm is asked to cancel the current step" in text
        assert mentions_cancel == (status == "paused")
        assert "needs your action" not in text
        assert "inquiry respond" not in text


def test_ended_execution_names_its_open_inquiry(operator):
    run = make_run(make_bucket(st2_workflow_name="x.y", use_stackstorm=True))
    execution = asking(run=run)
    ActionExecution.objects.update(status="skipped")
    BucketRun.objects.update(status="canceled")

    for row in (execution, run):
        [(text, is_urgent)] = notices_of(operator, row)
        assert not is_urgent
        assert text.startswith("Still open in StackStorm")
        assert f"<code>{ASK}</code>" in text
        assert "answering it no longer affects the run" in text
