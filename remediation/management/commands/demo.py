"""Demonstrate PoundCake: process an alert with real components and a StackStorm sandbox."""

import json
import os
import secrets
import shlex
import socket
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from remediation.management.processes import MANAGE, STOP_SECONDS, Processes
from st2_sandbox import Sandbox

TIMEOUT_SECONDS = 60.0  # for the web server to start, and for the run to end
OPERATOR = "operator"
DATABASE = "poundcake.sqlite3"
BUCKET = {
    "name": "host_down_workflow",
    "description": "Restart the service of a host that is down, and notify the team.",
    "alert_name_pattern": "HostDown",
    "steps": [
        ("st2_linux_service_action", {"service_name": "nginx"}),
        ("st2_slack_post_message", {"channel": "#alerts"}),
        ("log_event", {"message": "{{ alert.instance }} was repaired in run {{ run.id }}"}),
    ],
}


class Command(BaseCommand):
    help = (
        "Start PoundCake with a StackStorm sandbox, send an alert, print its timeline and serve."
        " With ONCE=1 in the environment, exit after the timeline."
    )

    # The settings that count are those passed to the child processes.
    requires_system_checks = ()

    def handle(self, *_args: Any, **_options: Any) -> None:
        """Run the demo with its own database in var/demo."""
        if not _is_free(settings.BIND):
            raise CommandError(
                f"{settings.BIND} is in use. Choose another address: make run BIND=127.0.0.1:8001"
            )
        folder = settings.VAR_DIR / "demo"
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)
        key = secrets.token_urlsafe(16)
        with Sandbox(api_key=key) as sandbox:
            environment = {
                "DATABASE_URL": f"sqlite:///{folder / DATABASE}",
                "ST2_API_URL": sandbox.url,
                "ST2_API_KEY": key,
                "BIND": settings.BIND,
            }
            env_file = _write_environment(folder / "poundcake.env", environment)
            with Processes(stop_seconds=STOP_SECONDS + 20) as processes:
                _use_only(environment, processes.env)
                # Lines of a run that succeeds would interrupt the story.
                processes.env.setdefault("LOG_LEVEL", "WARNING")
                login, token = self._prepare(processes, folder)
                self._say("Starting the web server and the workers, about 10 seconds ...")
                processes.start_manage("serve", "serve")
                api = Api(f"http://{settings.BIND}", token)
                is_remediated = self._send_alert(api, processes)
                if os.environ.get("ONCE") == "1":
                    if not is_remediated:
                        raise CommandError("The alert was not remediated.")
                    self._say("\nThe demo ends because of ONCE=1. Without it, it serves the admin.")
                    return
                self._print_access(sandbox, login, token, env_file)
                while not processes.ended():
                    time.sleep(0.5)

    def _say(self, text: str) -> None:
        """Print a text at once, also into a pipe."""
        self.stdout.write(text)
        self.stdout.flush()

    def _prepare(self, processes: Processes, folder: Path) -> tuple[str, str]:
        """Create tables, actions, a login and a token; return the password and the token."""
        if not (folder / DATABASE).exists():
            # The login and the token were in the database.
            for name in ("login-made", "token"):
                (folder / name).unlink(missing_ok=True)
        self._say(f"Preparing the database {folder / DATABASE}, about 10 seconds ...")
        processes.manage("migrate", "--verbosity", "0")
        self._say("Adding the actions and checking them against the sandbox ...")
        self._say(processes.manage("seed_actions").strip())
        self._say("Creating a login and a token ...")
        password = _read_or_create(folder / "password", lambda: secrets.token_urlsafe(9))
        processes.env["DJANGO_SUPERUSER_PASSWORD"] = password
        if not (folder / "login-made").exists():
            processes.manage(
                "createsuperuser", "--noinput", "--username", OPERATOR, "--email", "o@example.com"
            )
            (folder / "login-made").touch()
        del processes.env["DJANGO_SUPERUSER_PASSWORD"]
        token = _read_or_create(
            folder / "token",
            lambda: processes.manage(
                "create_token",
                "demo",
                *(f"--scope={scope}" for scope in ("webhook", "read", "edit")),
            ).split()[-1],
        )
        return password, token

    def _send_alert(self, api: "Api", processes: Processes) -> bool:
        """Send an alert, wait for its run to end and print the timeline."""
        api.wait(processes)
        _make_bucket(api)
        response = api.post("webhook", _notification())
        received = response["alerts"][0]
        self._say(f"\nStory of request {response['request_id']}")
        self._say(
            f"  alert   {received['alert_name']} {received['fingerprint']}:"
            f" {received['disposition']}"
        )
        self._say(f"  bucket  {', '.join(received['buckets']) or received['reason']}")
        if not received["runs"]:
            return False
        run = api.ended_run(received["runs"][0])
        for step in reversed(api.get(f"executions/?run={run['id']}")["results"]):
            self._say(
                f"  step {step['step_order']}  {step['name']}: {step['status']}"
                f" {step['st2_execution_id'] or '(local)'}\n"
                f"          parameters {json.dumps(step['parameters'])}"
            )
            if step["error_message"]:
                self._say(f"          {step['error_message']}")
        self._say(f"  run     {run['status']} {run['reason']}".rstrip())
        self._say(f"  details {api.url}/audit/requests/{response['request_id']}/")
        return bool(run["status"] == "success")

    def _print_access(self, sandbox: Sandbox, password: str, token: str, env_file: Path) -> None:
        url = f"http://{settings.BIND}"
        manage = f"{shlex.quote(sys.executable)} {shlex.quote(str(MANAGE))}"
        self._say(
            f"\nAdmin      {url}/admin/\n"
            f"Login      {OPERATOR} / {password}\n"
            f"Token      {token}\n"
            f"StackStorm {sandbox.url} is a sandbox: it replies like StackStorm and executes"
            " nothing\n\n"
            "Send another alert:\n"
            f"  curl -X POST {url}/api/v1/webhook -H 'Authorization: Bearer {token}' -d '{{\n"
            '    "alerts": [{\n'
            '      "labels": {"alertname": "HostDown", "instance": "server-01:9100"},\n'
            '      "status": "firing"\n'
            "    }]\n"
            "  }'\n\n"
            "Run commands in another shell, on the database and the sandbox of this demo:\n"
            f"  export POUNDCAKE_ENV_FILE={shlex.quote(str(env_file))}\n"
            f"  {manage} check_stackstorm\n"
            f"  {manage} pause --reason 'trying the demo' --for 10m\n"
            f"  {manage} resume\n"
            f"  {manage} create_token ci --scope read\n\n"
            "Ctrl-C ends the demo."
        )


class Api:
    """A client of PoundCake's API."""

    def __init__(self, url: str, token: str) -> None:
        self.url = url
        self.token = token

    def get(self, path: str) -> Any:
        """Send a GET request and return the response body."""
        return self._call(path, None)

    def post(self, path: str, body: Any) -> Any:
        """Send a POST request and return the response body."""
        return self._call(path, json.dumps(body).encode())

    def wait(self, processes: Processes) -> None:
        """Wait until the web server is ready."""
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while time.monotonic() < deadline and not processes.ended():
            try:
                self._open(urllib.request.Request(f"{self.url}/readyz"))  # noqa: S310 - always our own http URL
            except OSError:
                time.sleep(0.2)
            else:
                return
        raise CommandError("The web server did not start. See its output above.")

    def ended_run(self, run_id: int) -> Any:
        """Return the run when it has ended, or unfinished after the timeout."""
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while True:
            run = self.get(f"runs/{run_id}/")
            if run["completed_at"] or time.monotonic() > deadline:
                return run
            time.sleep(0.2)

    def _call(self, path: str, body: bytes | None) -> Any:
        request = urllib.request.Request(  # noqa: S310 - always our own http URL
            f"{self.url}/api/v1/{path}",
            data=body,
            headers={
                "Authorization": f"Bearer {self.token}",
                "Content-Type": "application/json",
            },
        )
        try:
            return self._open(request)
        except urllib.error.HTTPError as error:
            raise CommandError(f"{path} returned {error.code}: {error.read().decode()}") from error

    @staticmethod
    def _open(request: urllib.request.Request) -> Any:
        with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310 - always our own http URL
            return json.loads(response.read())


def _write_environment(path: Path, environment: Mapping[str, str]) -> Path:
    """Write the settings of the demo for POUNDCAKE_ENV_FILE, readable by the owner only."""
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    path.write_text(
        "# Written by each start of the demo.\n"
        + "".join(f'{name}="{value}"\n' for name, value in environment.items())
    )
    return path


def _use_only(environment: Mapping[str, str], variables: dict[str, str]) -> None:
    """Replace the settings of a real installation, such as the URL of its StackStorm."""
    for name in [*variables]:
        if name.startswith(("ST2_", "DATABASE_URL")):
            del variables[name]
    variables |= {**environment, "POUNDCAKE_ENV_FILE": ""}


def _make_bucket(api: Api) -> None:
    if api.get(f"buckets/?name={BUCKET['name']}")["results"]:
        return
    steps = []
    for name, parameters in BUCKET["steps"]:
        action = api.get(f"actions/?name={name}")["results"][0]
        steps.append({"action": action["id"], "parameters": parameters})
    api.post("buckets/", {**BUCKET, "steps": steps})


def _notification() -> dict[str, Any]:
    """Return an Alertmanager notification for a host that is down."""
    now = datetime.now(UTC).isoformat()
    return {
        "version": "4",
        "status": "firing",
        "receiver": "poundcake",
        "alerts": [
            {
                "status": "firing",
                "labels": {
                    "alertname": "HostDown",
                    "instance": "web-01:9100",
                    "severity": "critical",
                },
                "annotations": {"summary": "web-01 does not answer"},
                "startsAt": now,
            }
        ],
    }


def _read_or_create(path: Path, create: Any) -> str:
    """Return the file's text, created by the first run with mode 600."""
    if not path.exists():
        text = create()
        path.touch(mode=0o600)
        path.write_text(text)
    return path.read_text()


def _is_free(bind: str) -> bool:
    host, _, port = bind.rpartition(":")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, int(port)))
        except OSError:
            return False
    return True
