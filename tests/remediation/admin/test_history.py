"""Admin of history: read-only, escaped, linked in both directions, few queries."""

import datetime

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from remediation.engine.operations import definitions
from remediation.models import (
    ActionExecution,
    Alert,
    Bucket,
    BucketRun,
    BucketVersion,
    Cause,
    Transition,
)
from tests.factories import make_alert, make_execution, make_run, make_step
from tests.remediation.admin.forms import page

pytestmark = pytest.mark.slow

HISTORY = [Alert, BucketRun, ActionExecution, Transition, BucketVersion]
EVIL = "<script>alert(1)</script>"


def content_of(operator: Client, url: str) -> str:
    response = operator.get(url)
    assert response.status_code == 200
    return response.content.decode()


def failed_execution(**columns):
    """Return an execution that failed in StackStorm, with its transition."""
    execution = make_execution(
        status="launching",
        parameters={"service": "nginx"},
        st2_execution_id="5f9e8a7b6c5d4e3f2a1b0c9d",
        st2_web_url="https://st2.example.com/#/history/5f9e8a7b6c5d4e3f2a1b0c9d",
        **columns,
    )
    execution.finish(
        ActionExecution.Status.FAILURE,
        cause=Cause(request_id="call-1"),
        reason="StackStorm: failed: Unit nginx.service not found.",
        st2_action_execution_status="failed",
        st2_result={"server-01": {"stdout": "", "stderr": "line 1\nline 2"}},
    )
    return execution


@pytest.mark.parametrize("model", HISTORY)
def test_history_cannot_be_changed(operator, model):
    execution = failed_execution()
    pk = model.objects.order_by("pk").last().pk

    for url in (page(model, "add"), page(model, "change", pk), page(model, "delete", pk)):
        assert operator.post(url, {"post": "yes", "status": "success"}).status_code == 403
    assert model.objects.filter(pk=pk).exists()
    execution.refresh_from_db()
    assert execution.status == "failure"


@pytest.mark.parametrize("model", HISTORY)
def test_anonymous_user_is_redirected_to_the_login(db, model):
    failed_execution()

    response = Client().get(page(model, "changelist"))

    assert response.status_code == 302
    assert reverse("admin:login") in response["Location"]


def test_markup_from_alerts_and_stackstorm_is_escaped(operator):
    alert = make_alert(
        {"alertname": EVIL, "instance": EVIL, "severity": EVIL, EVIL: EVIL},
        annotations={"summary": EVIL, "runbook_url": f"javascript:{EVIL}"},
        generator_url=f"javascript:{EVIL}",
        group_key=EVIL,
        receiver=EVIL,
        reason=EVIL,
    )
    run = make_run(alert=alert, reason=EVIL)
    execution = make_execution(
        run,
        name=EVIL,
        status="launching",
        parameters={EVIL: EVIL},
        st2_execution_id="e1",
        st2_web_url=f"javascript:{EVIL}",
    )
    execution.finish(
        ActionExecution.Status.FAILURE,
        cause=Cause(),
        reason=EVIL,
        st2_result={EVIL: {"stdout": EVIL}},
        st2_action_execution_status=EVIL,
    )
    transition = Transition.objects.get()

    for row in (alert, run, execution, transition):
        for url in (page(type(row), "changelist"), page(type(row), "change", row.pk)):
            content = content_of(operator, url)
            assert "<script>alert" not in content
            assert 'href="javascript:' not in content


def test_alert_links_its_runs_and_executions(operator):
    execution = failed_execution()

    content = content_of(operator, page(Alert, "change", execution.alert_id))

    assert page(BucketRun, "change", execution.run_id) in content
    assert page(ActionExecution, "change", execution.pk) in content
    assert reverse("audit:story", args=[execution.request_id]) in content


def test_alert_shows_why_it_has_no_runs(operator):
    alert = make_alert(reason="No bucket matches this alert.")

    for url in (page(Alert, "changelist"), page(Alert, "change", alert.pk)):
        assert "No bucket matches this alert." in content_of(operator, url)


def test_alert_links_its_runbook_and_its_rule(operator):
    alert = make_alert(
        annotations={"runbook_url": "https://runbooks.example.com/HostDown"},
        generator_url="https://prometheus.example.com/graph",
    )

    content = content_of(operator, page(Alert, "change", alert.pk))

    for url in ("https://runbooks.example.com/HostDown", alert.generator_url):
        assert f'href="{url}" target="_blank" rel="noopener noreferrer"' in content


def test_alerts_are_filtered_by_whether_they_have_runs(operator):
    make_run()
    make_alert(reason="No bucket matches this alert.")

    reasons = {
        choice: [
            alert.reason
            for alert in operator.get(page(Alert, "changelist"), {"remediation": choice})
            .context["cl"]
            .result_list
        ]
        for choice in ("ran", "nothing")
    }

    assert reasons == {"ran": [""], "nothing": ["No bucket matches this alert."]}


def test_run_shows_its_executions_in_order_and_its_transitions(operator):
    run = make_run(make_step(make_step(name="ping").bucket, name="restart").bucket)
    make_execution(run, step_order=2, name="restart")
    second = make_execution(run, name="ping", attempt=2)
    failed_execution(run=run, name="ping")

    content = content_of(operator, page(BucketRun, "change", run.pk))

    table = content[content.index("<h2>Executions</h2>") : content.index("<h2>Transitions</h2>")]
    order = [table.index(text) for text in ("<td>1</td>", "1, attempt 2", "<td>2</td>")]
    assert order == sorted(order)
    assert "5f9e8a7b6c5d4e3f2a1b0c9d" in table
    assert "https://st2.example.com/#/history/" in table
    assert "Unit nginx.service not found." in table
    assert "launching → " in content
    assert reverse("audit:story", args=["call-1"]) in content
    for url in (
        page(ActionExecution, "change", second.pk),
        page(Alert, "change", run.alert_id),
        page(Bucket, "change", run.bucket_id),
        page(BucketVersion, "change", run.plan_id),
    ):
        assert url in content


def test_transitions_are_shown_oldest_first(operator):
    execution = make_execution()
    execution.claim(cause=Cause(), lease_until=Cause().at)
    execution.mark_running(cause=Cause(), due_at=Cause().at)
    execution.finish(ActionExecution.Status.SUCCESS, cause=Cause())

    content = content_of(operator, page(ActionExecution, "change", execution.pk))

    moves = [content.index(f"{before} → ") for before in ("pending", "launching", "running")]
    assert moves == sorted(moves)


def test_execution_shows_its_parameters_and_its_result(operator):
    execution = failed_execution()

    content = content_of(operator, page(ActionExecution, "change", execution.pk))

    assert "&quot;service&quot;: &quot;nginx&quot;" in content
    assert "server-01: stderr" in content
    assert "line 1\nline 2" in content
    assert "Unit nginx.service not found." in content
    assert execution.trace_tag in content
    for url in (
        execution.st2_web_url,
        page(BucketRun, "change", execution.run_id),
        page(Alert, "change", execution.alert_id),
        page(Bucket, "change", execution.bucket_id),
    ):
        assert f'href="{url}"' in content


def test_workflow_and_its_tasks_link_each_other(operator):
    workflow = make_execution(step_order=0)
    second, first = (
        make_execution(
            workflow.run, step_order=step_order, parent=workflow, action_id=None, trace_tag=None
        )
        for step_order in (2, 1)
    )

    workflow_page = content_of(operator, page(ActionExecution, "change", workflow.pk))
    task_page = content_of(operator, page(ActionExecution, "change", first.pk))

    task_urls = [page(ActionExecution, "change", task.pk) for task in (first, second)]
    positions = [workflow_page.index(url) for url in task_urls]
    assert positions == sorted(positions)
    assert page(ActionExecution, "change", workflow.pk) in task_page


@pytest.mark.parametrize(
    ("result", "names"),
    [
        ({"stdout": "ok", "stderr": ""}, ["stdout"]),
        (
            {"web-1": {"stdout": "ok"}, "web-2": {"stderr": "no"}},
            ["web-1: stdout", "web-2: stderr"],
        ),
        ({"traceback": "Traceback", "error": "x"}, ["traceback"]),
        ({"stdout": {"not": "text"}}, []),
        ("text", []),
        (None, []),
        ([1], []),
    ],
)
def test_output_is_found_in_results_of_every_runner(operator, result, names):
    execution = make_execution(st2_result=result)

    content = content_of(operator, page(ActionExecution, "change", execution.pk))

    assert [name for name in names if f"<p>{name}</p>" not in content] == []
    assert content.count('<pre class="block">') - (1 if result else 0) == len(names)


def test_version_shows_a_diff_to_the_previous_one(operator):
    step = make_step()
    definitions.record(step.bucket, cause=Cause())
    step.timeout_seconds = 60
    step.save()
    newest = definitions.record(step.bucket, cause=Cause(actor="maria"))

    content = content_of(operator, page(BucketVersion, "change", newest.pk))

    assert "-      &quot;timeout_seconds&quot;: 300" in content
    assert "+      &quot;timeout_seconds&quot;: 60" in content


def test_first_version_has_no_diff(operator):
    version = definitions.record(make_step().bucket, cause=Cause())

    assert "This is the first version." in content_of(
        operator, page(BucketVersion, "change", version.pk)
    )


def test_bucket_links_its_own_versions_and_runs(operator):
    mine, other = make_run(), make_run()
    content = content_of(operator, page(Bucket, "change", mine.bucket_id))

    for model in (BucketVersion, BucketRun):
        url = f"{page(model, 'changelist')}?bucket__exact={mine.bucket_id}"
        assert url in content
        (row,) = operator.get(url).context["cl"].result_list
        assert row.bucket_id == mine.bucket_id != other.bucket_id


@pytest.mark.parametrize(
    ("model", "query"),
    [
        (Alert, "server-01"),
        (Alert, "hostd"),
        (Alert, "req-mine"),
        (BucketRun, "req-mine"),
        (ActionExecution, "5f9e8a7b6c5d4e3f2a1b0c9d"),
        (ActionExecution, "req-mine"),
        (Transition, "req-mine"),
        (Transition, "call-1"),
    ],
)
def test_search_finds_a_row_by_name_host_or_id(operator, model, query):
    alert = make_alert(request_id="req-mine")
    failed_execution(run=make_run(alert=alert))
    make_execution(make_run(alert=make_alert({"alertname": "DiskFull", "instance": "db-1"})))

    response = operator.get(page(model, "changelist"), {"q": query})

    assert response.context["cl"].result_count == 1


@pytest.mark.parametrize("model", HISTORY)
def test_list_needs_no_query_per_row(operator, django_assert_max_num_queries, model):
    for _ in range(30):
        failed_execution_without_ids()

    with django_assert_max_num_queries(8):
        response = operator.get(page(model, "changelist"))

    assert response.context["cl"].result_count == 30


@pytest.mark.parametrize("model", [BucketRun, ActionExecution])
def test_list_of_waiting_rows_needs_no_query_per_row(
    operator, django_assert_max_num_queries, model
):
    later = timezone.now() + datetime.timedelta(hours=1)
    for _ in range(30):
        make_execution(make_run(held_until=later), due_at=later)

    with django_assert_max_num_queries(12):
        response = operator.get(page(model, "changelist"))

    assert response.content.decode().count("It starts when the alert is repeated") == 30


def failed_execution_without_ids():
    make_execution(status="launching").finish(ActionExecution.Status.FAILURE, cause=Cause())


def test_page_of_a_run_needs_no_query_per_execution(operator, django_assert_max_num_queries):
    run = make_run()
    for attempt in range(1, 31):
        make_execution(run, attempt=attempt, status="launching").finish(
            ActionExecution.Status.FAILURE, cause=Cause()
        )

    with django_assert_max_num_queries(15):
        content = content_of(operator, page(BucketRun, "change", run.pk))

    assert content.count("badge-failure") == 60


def test_page_of_an_alert_needs_no_query_per_run(operator, django_assert_max_num_queries):
    alert = make_alert()
    for _ in range(10):
        make_execution(make_run(alert=alert))

    with django_assert_max_num_queries(15):
        content_of(operator, page(Alert, "change", alert.pk))
