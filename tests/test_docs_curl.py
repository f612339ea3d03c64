"""The curl commands of the documents are sent to a real server and succeed."""

import os
import re
import subprocess
from pathlib import Path

import pytest
from django.core.management import call_command

from remediation.models import ActionExecution, BucketRun
from st2_sandbox import Sandbox
from tests.factories import (
    make_action,
    make_alert,
    make_bucket,
    make_execution,
    make_run,
    make_step,
    make_token,
)
from tests.paths import ROOT

pytestmark = [pytest.mark.django_db(transaction=True, reset_sequences=True), pytest.mark.slow]

DOCUMENTS = ("README.md", "docs/api.md", "docs/operations.md")
API_KEY = "curl-key"
# The status that run 7 or execution 9 needs for a command, by a part of it.
RUN_STATUS = {"runs/7/retry": "failure", "runs/7/cancel": "running", "set-outcome": "unknown"}


def curl_blocks() -> list[tuple[str, str]]:
    """Return the document and the text of each block with curl commands."""
    found = []
    for name in DOCUMENTS:
        text = (ROOT / name).read_text()
        blocks = re.findall(r"^( *)```sh\n(.*?)^ *```$", text, re.DOTALL | re.MULTILINE)
        found += [
            (name, block) for _, block in blocks if re.search(r"^ *curl .*(URL|8000)", block, re.M)
        ]
    return found


@pytest.fixture
def sandbox():
    with Sandbox(api_key=API_KEY) as running:
        yield running


def make_rows(status: str) -> BucketRun:
    """Create the rows that the commands name by their ids."""
    call_command("seed_actions", verbosity=0)
    bucket = make_bucket(pk=3)
    make_step(bucket, make_action(name="restart_nginx"), name="check", parameters={"cmd": "true"})
    alert = make_alert(pk=12)
    run = make_run(bucket, alert, pk=7, status=status)
    make_execution(run, pk=9, status=status, st2_execution_id="5f9e8a7b6c5d4e3f2a1b0c9d")
    return run


@pytest.mark.parametrize(("document", "block"), curl_blocks(), ids=lambda text: str(text)[-60:])
def test_curl_commands_succeed(document, block, live_server, sandbox, tmp_path):
    status = next((value for part, value in RUN_STATUS.items() if part in block), "success")
    run = make_rows(status)
    _, token = make_token(["webhook", "stackstorm", "read", "operate", "edit"])
    tag = ActionExecution.objects.get().trace_tag
    placeholders = {
        "http://127.0.0.1:8000": live_server.url,
        "TOKEN": token,
        "TRACE_TAG": tag,
        "ST2_EXECUTION_ID": "5f9e8a7b6c5d4e3f2a1b0c9d",
        "EXECUTION_ID": "9",
        "bf9586db8d224deea298f1ac58c2501d": run.request_id,
    }
    for name, value in placeholders.items():
        block = block.replace(name, value)

    done = run_block(block, live_server.url, token, sandbox, tmp_path)

    assert done.returncode == 0, f"{document}:\n{block}\n{done.stdout}\n{done.stderr}"


def run_block(
    block: str, url: str, token: str, sandbox: Sandbox, directory: Path
) -> "subprocess.CompletedProcess[str]":
    """Run a block in bash; every HTTP error of curl ends it."""
    # An ETag is an example: the server's own takes its place.
    prelude = """
        curl() {
            local arguments=() argument
            for argument in "$@"; do
                case $argument in
                    If-Match:*)
                        argument="If-Match: $(sed -n 's/^etag: *//Ip' etag | tr -d '\\r')" ;;
                esac
                arguments+=("$argument")
            done
            command curl --silent --show-error --fail-with-body --dump-header etag "${arguments[@]}"
        }
    """
    return subprocess.run(
        ["bash", "-euc", f"{prelude}\n{block}"],
        cwd=directory,
        env=os.environ
        | {
            "URL": f"{url}/api/v1",
            "AUTH": f"Authorization: Bearer {token}",
            "ST2_API_URL": sandbox.url,
            "ST2_API_KEY": API_KEY,
        },
        capture_output=True,
        text=True,
        check=False,
    )
