"""Add the common StackStorm actions and the local actions."""

from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from remediation import local_actions
from remediation.engine.stackstorm_client import NotConfigured, stackstorm_client
from remediation.models import Action
from remediation.stackstorm.missing_actions import replacement_advice

HOST = "{{ alert.instance | host }}"
ALERT = "(alert.alert_name | default('an alert without a name'))"

# name -> (ref, description, mapping to the parameters of the pack's action)
STACKSTORM_ACTIONS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "st2_core_local": (
        "core.local",
        "Execute local shell command",
        {"cmd": "{{ parameters.cmd }}"},
    ),
    "st2_core_remote": (
        "core.remote",
        "Execute remote shell command",
        {"hosts": HOST, "cmd": "{{ parameters.cmd }}"},
    ),
    "st2_core_http": (
        "core.http",
        "Make HTTP request",
        {
            "url": "{{ parameters.url }}",
            "method": "{{ parameters.method | default('GET') }}",
            "body": "{{ parameters.body | default(none) }}",
        },
    ),
    "st2_linux_service_action": (
        "linux.service",
        "Control systemd services",
        {
            "hosts": HOST,
            "service": "{{ parameters.service_name }}",
            "act": "{{ parameters.act | default('restart') }}",
        },
    ),
    "st2_linux_check_loadavg": (
        "linux.check_loadavg",
        "Check system load",
        {"hosts": HOST, "period": "{{ parameters.period | default('all') }}"},
    ),
    "st2_linux_check_diskspace": (
        "linux.check_diskspace",
        "Check disk space",
        {"hosts": HOST},
    ),
    "st2_network_ping": ("network.ping", "Ping host", {"host": HOST}),
    "st2_network_port_check": (
        "network.port_check",
        "Check if port is open",
        {"host": HOST, "port": "{{ parameters.port }}"},
    ),
    "st2_slack_post_message": (
        "slack.post_message",
        "Send Slack notification",
        {
            "channel": "{{ parameters.channel }}",
            "message": (
                "{{ parameters.message"
                f" | default({ALERT} ~ ' on ' ~ (alert.instance | default('no instance'))"
                " ~ ' is being repaired') }}"
            ),
        },
    ),
    "st2_email_send": (
        "email.send",
        "Send email",
        {
            "account": "{{ parameters.account }}",
            "email_from": "{{ parameters.email_from }}",
            "email_to": "{{ parameters.email_to }}",
            "subject": f"{{{{ parameters.subject | default({ALERT}) }}}}",
            "message": f"{{{{ parameters.message | default({ALERT}) }}}}",
        },
    ),
}


class Command(BaseCommand):
    help = "Add ten StackStorm actions and the local ones. Existing actions are not changed."

    def handle(self, *_args: Any, **_options: Any) -> None:
        """Add missing actions, then check all against StackStorm if it is configured."""
        with transaction.atomic():
            added = [action for action in _actions() if _add(action)]
        self.stdout.write(f"Added {len(added)} actions.")
        try:
            stackstorm_client()
        except NotConfigured as error:
            self.stdout.write(f"Not checked against StackStorm: {error}")
            for name, (ref, _description, _mapping) in STACKSTORM_ACTIONS.items():
                if advice := replacement_advice(ref):
                    self.stdout.write(f"{name}: {advice}")
            return
        try:
            call_command("check_stackstorm", stdout=self.stdout)
        except CommandError as error:
            self.stderr.write(f"The actions could not be checked against StackStorm: {error}")


def _actions() -> list[Action]:
    remote = [
        Action(
            name=name,
            description=description,
            st2_action_ref=ref,
            st2_pack=ref.partition(".")[0],
            st2_parameters=mapping,
        )
        for name, (ref, description, mapping) in STACKSTORM_ACTIONS.items()
    ]
    local = [
        Action(
            name=name,
            description=local_actions.get(name).description,
            action_type=name,
            use_stackstorm=False,
        )
        for name in local_actions.names()
    ]
    return remote + local


def _add(action: Action) -> bool:
    if Action.objects.filter(name=action.name).exists():
        return False
    action.full_clean()
    action.save()
    return True
