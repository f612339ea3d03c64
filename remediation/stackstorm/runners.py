"""What StackStorm's runners do with their parameters."""

# Runners whose parameters StackStorm renders once, at the POST. All others may render again.
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
