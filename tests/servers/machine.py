"""A Linux machine for tests of installation commands: this one, with its own files and network.

An overlay file system keeps all changes in a temporary directory, and namespaces give it its own
processes and its own loopback interface, so that every path, user and port is free. Its systemd is
a script that does what the units say. Needs root.
"""

import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from textwrap import dedent

from tests import servers

SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# Emulated of the unit: User, UMask, WorkingDirectory, NoNewPrivileges, CapabilityBoundingSet,
# ProtectSystem=strict, ProtectHome and PrivateTmp. Not: the filters of system calls and devices.
SYSTEMCTL = r"""#!/bin/bash
set -eu
unit=/etc/systemd/system/poundcake.service
field() { sed -n "s/^$1=//p" "$unit"; }
# Replaces the calling shell, so that its process id is that of the service.
run() {
    exec unshare --mount bash -c '
        set -eu
        mount -o remount,bind,ro /
        mount -t tmpfs -o mode=1777 tmpfs /tmp
        mount -t tmpfs -o mode=700 tmpfs /root
        cd "$1"
        umask "$2"
        exec env -i PATH=/usr/bin:/bin HOME=/opt/poundcake setpriv --reuid="$3" --regid="$3" \
            --init-groups --no-new-privs --bounding-set=-all --inh-caps=-all -- $4
    ' - "$(field WorkingDirectory)" "$(field UMask)" "$(field User)" "$1"
}
case "$*" in
    daemon-reload) test -f "$unit" ;;
    "enable --now poundcake" | "start poundcake")
        (run "$(field ExecStartPre)")
        (run "setsid $(field ExecStart)" </dev/null >>/var/log/poundcake.log 2>&1) &
        echo $! > /run/poundcake.pid
        ;;
    "stop poundcake")
        kill -TERM "$(cat /run/poundcake.pid)"
        timeout "$(field TimeoutStopSec)" tail -f /dev/null --pid="$(cat /run/poundcake.pid)"
        ;;
    "reload nginx") if test -s /run/nginx.pid; then nginx -s reload; else nginx; fi ;;
    *) echo "unexpected: systemctl $*" >&2; exit 1 ;;
esac
"""


@dataclass(frozen=True)
class Machine:
    """A running machine. ``pid``: of its first process, as seen from outside."""

    pid: int

    @property
    def files(self) -> Path:
        """The root directory of the machine, as seen from outside."""
        return Path(f"/proc/{self.pid}/root")

    def run(
        self, script: str, *, user: str = "root", is_online: bool = False, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run a bash script. ``is_online``: in the network of this machine, for packages."""
        namespaces = ["--mount", "--pid", "--root", "--wd", *([] if is_online else ["--net"])]
        command = ["nsenter", f"--target={self.pid}", *namespaces, "--"]
        if user != "root":
            command += ["runuser", "-u", user, "--"]
        # Packages come through the client of this machine; see ``servers``.
        kept = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
        done = subprocess.run(
            [*command, "bash", "-euo", "pipefail", "-c", script],
            env={
                "PATH": SYSTEM_PATH,
                "HOME": "/",
                "DJANGO_SUPERUSER_PASSWORD": "walk-Xq72",
                **kept,
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert not check or done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"
        return done


@contextmanager
def running(lower: Path = Path("/")) -> Iterator[Machine]:
    """Run a machine whose files are those below ``lower`` until the block ends.

    Raises ServerMissing if this process may not do so.
    """
    if os.geteuid() != 0:
        raise servers.ServerMissing("a machine with its own files and network needs root")
    with TemporaryDirectory(prefix="poundcake-machine-") as directory:
        home = Path(directory)
        for name in ("upper", "work", "root"):
            (home / name).mkdir()
        root = home / "root"
        options = f"lowerdir={lower},upperdir={home / 'upper'},workdir={home / 'work'}"
        script = dedent(f"""
            set -eu
            mount -t overlay overlay -o {options} {root}
            mount -t proc proc {root}/proc
            mount --rbind /dev {root}/dev
            mount -t tmpfs -o mode=755 tmpfs {root}/run
            ip link set lo up
            # bash reaps the processes whose parents have ended.
            exec chroot {root} bash -c ": first; sleep infinity & wait"
        """)
        unshare = ["unshare", "--mount", "--pid", "--net", "--fork", "--kill-child"]
        process = subprocess.Popen(
            [*unshare, "--", "bash", "-c", script], stderr=subprocess.PIPE, text=True
        )
        assert process.stderr is not None
        try:
            pid = _wait_for_first_process(process)
            machine = Machine(pid)
            systemctl = machine.files / "usr/local/sbin/systemctl"
            systemctl.write_text(SYSTEMCTL)
            systemctl.chmod(0o755)
            yield machine
        finally:
            process.kill()
            process.wait()
            process.stderr.close()


def _wait_for_first_process(process: subprocess.Popen[str]) -> int:
    """Return the id of the machine's first process. Raises ServerMissing if it fails."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    while process.poll() is None:
        for child in children.read_text().split():
            if re.match(r"bash\0-c\0: first;", Path(f"/proc/{child}/cmdline").read_text()):
                return int(child)
    assert process.stderr is not None
    raise servers.ServerMissing(f"overlay file systems or namespaces: {process.stderr.read()}")
