"""How StackStorm's runners treat their parameters.

Their shell commands are in ``templating.shell_commands``.
"""

# StackStorm renders the parameters of these runners once, at the POST; others may render again.
PLAIN_RUNNERS = {
    "local-shell-cmd",
    "local-shell-script",
    "remote-shell-cmd",
    "remote-shell-script",
    "python-script",
    "http-request",
    "noop",
    "winrm-cmd",
    "winrm-ps-cmd",
    "winrm-ps-script",
}
