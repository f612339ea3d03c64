"""A later notification updates the alert for pages and templates; ``raw_data`` keeps the first."""

import json

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from remediation import templating
from remediation.alertmanager import parse
from remediation.engine.intake import receive
from remediation.models import Alert, BucketRun, Cause
from tests.factories import LABELS, alert_payload, make_bucket, make_step, notification_body

pytestmark = [pytest.mark.django_db, pytest.mark.slow]

START, END = "2026-11-28T09:00:00Z", "2026-11-28T09:05:00Z"
GRAPH = "https://prometheus.example/graph"


def deliver(*alerts, **fields):
    body = notification_body(*alerts) | fields
    return receive.receive(
        parse(json.dumps(body).encode()), cause=Cause(request_id="call"), client="am"
    )


def sent(**members):
    return alert_payload(**{"startsAt": START, **members})


def render(template):
    variables = {"alert": Alert.objects.get().variables()}
    return templating.render_step_parameters({"text": template}, variables)


def test_a_repeat_updates_the_annotations_but_not_the_raw_data():
    deliver(sent(annotations={"v": "91"}, generatorURL="https://old", values={"B": 91}))
    deliver(
        sent(
            annotations={"v": "99", "runbook_url": "https://r"},
            generatorURL=GRAPH,
            values={"B": 99},
        )
    )

    alert = Alert.objects.get()
    assert alert.annotations == {"v": "99", "runbook_url": "https://r"}
    assert (alert.generator_url, alert.values) == (GRAPH, {"B": 99})
    assert alert.raw_data["annotations"] == {"v": "91"}
    assert alert.occurrences == 2


def test_missing_values_keep_the_stored_ones():
    deliver(sent(annotations={"v": "91"}, generatorURL=GRAPH, values={"B": 91}))
    deliver(sent(annotations={}, generatorURL="", values=None))

    alert = Alert.objects.get()
    assert (alert.annotations, alert.generator_url) == ({"v": "91"}, GRAPH)
    assert alert.values == {"B": 91}


def test_a_resolve_and_a_late_copy_update_the_annotations():
    deliver(sent(annotations={"v": "1"}))
    deliver(sent(status="resolved", endsAt=END, annotations={"v": "2"}))
    assert Alert.objects.get().annotations == {"v": "2"}

    deliver(sent(annotations={"v": "3"}))
    assert Alert.objects.get().annotations == {"v": "3"}


def test_the_last_alert_of_a_body_wins():
    deliver(sent(annotations={"v": "1"}), sent(annotations={"v": "2"}))

    assert Alert.objects.get().annotations == {"v": "2"}
    assert Alert.objects.get().raw_data["annotations"] == {"v": "1"}


def test_an_ignored_resolve_changes_nothing():
    deliver(sent(annotations={"v": "1"}))
    older = {"startsAt": "2026-11-28T08:00:00Z", "endsAt": "2026-11-28T08:30:00Z"}
    [receipt] = deliver(sent(status="resolved", annotations={"v": "0"}, **older))

    assert receipt.disposition == "ignored"
    assert Alert.objects.get().annotations == {"v": "1"}


def test_a_run_on_resolved_sees_the_annotations_of_the_resolve():
    make_step(make_bucket(trigger_on="resolved"))
    deliver(sent(annotations={"v": "1"}))
    deliver(sent(status="resolved", endsAt=END, annotations={"v": "2"}))

    assert BucketRun.objects.get().alert.annotations == {"v": "2"}


def test_templates_can_read_the_notification_of_an_alert():
    grafana = {"values": {"B": 91.5}, "generatorURL": GRAPH}
    group = {
        "receiver": "ops",
        "externalURL": "https://am.example",
        "groupLabels": {"team": "db", "n": 1},
    }
    deliver(sent(**grafana), **group)
    deliver(sent(status="resolved", endsAt=END, **grafana), **group)

    template = (
        "{{ alert.generator_url }} {{ alert.ends_at }} {{ alert.receiver }}"
        " {{ alert.external_url }} {{ alert.group_labels.team }}{{ alert.group_labels.n }}"
        " {{ alert.values.B }}"
    )
    assert render(template) == {
        "text": f"{GRAPH} 2026-11-28T09:05:00+00:00 ops https://am.example db1 91.5"
    }


def test_a_firing_alert_has_no_end_and_a_missing_url_is_empty():
    deliver(sent(generatorURL=""))

    assert render("{{ alert.ends_at | default('fires') }}{{ alert.generator_url }}") == {
        "text": "fires"
    }
    with pytest.raises(templating.TemplateError, match=r"alert\.ends_at is not defined"):
        render("{{ alert.ends_at }}")


def test_group_labels_too_large_to_store_with_each_alert_are_dropped():
    deliver(sent(), groupLabels={"a": "x" * 20_000})

    assert Alert.objects.get().group_labels == {}


def test_an_unchanged_repeat_writes_no_annotations():
    alerts = [sent(labels=LABELS | {"instance": str(number)}) for number in range(3)]
    deliver(*alerts)

    with CaptureQueriesContext(connection) as queries:
        deliver(*alerts)

    assert not [query for query in queries if "annotations" in query["sql"].partition("SET")[2]]


def test_updates_of_a_large_group_need_a_bounded_number_of_statements():
    def group(value, count=600):
        return [
            sent(labels=LABELS | {"instance": str(number)}, annotations={"v": value})
            for number in range(count)
        ]

    deliver(*group("1"))

    with CaptureQueriesContext(connection) as queries:
        deliver(*group("2"))

    assert len(queries) < 30
    assert not Alert.objects.exclude(annotations={"v": "2"}).exists()


def test_updates_larger_than_a_mariadb_packet_are_written():
    def group(letter):
        return [
            sent(labels=LABELS | {"instance": str(number)}, annotations={"v": letter * 150_000})
            for number in range(40)
        ]

    deliver(*group("é"))
    deliver(*group("漢"))

    assert {alert.annotations["v"][0] for alert in Alert.objects.all()} == {"漢"}
