"""Readers see values under secret names masked, and cannot find them piece by piece."""

from __future__ import annotations

import pytest

from remediation.admin.operations import operation_url
from remediation.models import Alert, ConfigValue
from tests.factories import log_in, make_alert, make_bucket, make_local_action, make_step

pytestmark = pytest.mark.django_db

LITERAL = "Tr0ub4dor"


def test_a_step_shows_its_literals_to_editors_only() -> None:
    step = make_step(action=make_local_action(), parameters={"password": LITERAL})
    url = f"/admin/remediation/bucket/{step.bucket_id}/change/"

    assert LITERAL not in log_in("operate").get(url).content.decode()
    assert LITERAL in log_in("edit").get(url).content.decode()


def test_an_alert_shows_its_secret_labels_to_editors_only() -> None:
    alert = make_alert({"alertname": "HostDown", "api_token": LITERAL})
    url = f"/admin/remediation/alert/{alert.pk}/change/"

    reader = log_in("read").get(url).content.decode()

    assert "api_token" in reader
    assert LITERAL not in reader
    assert LITERAL in log_in("edit").get(url).content.decode()


def test_a_config_value_with_a_secret_key_is_masked_for_readers() -> None:
    ConfigValue.objects.create(key="smtp_password", value=LITERAL)
    ConfigValue.objects.create(key="channel", value="#alerts")

    page = log_in("read").get("/admin/remediation/configvalue/").content.decode()

    assert LITERAL not in page
    assert "#alerts" in page


@pytest.mark.parametrize(
    "query",
    [
        "alert/?labels__api_token__startswith=T",
        "alert/?annotations__contains=T",
        "bucket/?label_matchers__contains=T",
        "bucket/?steps__parameters__password__startswith=T",
        "configvalue/?value__startswith=T",
        "bucketversion/?definition__contains=T",
    ],
)
def test_a_reader_cannot_filter_by_other_columns(query: str) -> None:
    assert log_in("read").get(f"/admin/remediation/{query}").status_code == 400


@pytest.mark.parametrize(
    "query",
    ["alert/?status__exact=firing", "bucket/?is_enabled__exact=1", "action/?st2_pack=core"],
)
def test_the_filters_of_a_page_work_for_readers(query: str) -> None:
    assert log_in("read").get(f"/admin/remediation/{query}").status_code == 200


def test_a_reader_cannot_search_label_matchers() -> None:
    make_bucket(name="guarded", label_matchers=f'api_token="{LITERAL}"')
    url = f"/admin/remediation/bucket/?q={LITERAL[:4]}"

    assert "guarded" not in log_in("read").get(url).content.decode()
    assert "guarded" in log_in("edit").get(url).content.decode()


def test_an_operation_of_an_operator_reads_the_values_unmasked() -> None:
    bucket = make_bucket(alert_name_pattern="HostDown", label_matchers=f'api_token="{LITERAL}"')
    make_step(bucket, make_local_action(), parameters={"message": "x"})
    alert = make_alert({"alertname": "HostDown", "api_token": LITERAL})

    log_in("operate").post(operation_url(Alert, "match_again", alert.pk))

    assert alert.runs.count() == 1
