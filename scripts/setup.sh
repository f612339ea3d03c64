#!/usr/bin/env bash
# Create .venv with the locked dependencies of PoundCake, and with those of its tests:
#
#   scripts/setup.sh        what production needs (requirements.txt)
#   scripts/setup.sh dev    also tests and checks (requirements-dev.txt)
#
# PYTHON=python3.12  the Python to use; default: the first suitable one
# APT=0              install no Debian packages, only list missing ones
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/debian.sh

is_suitable() {
    "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null
}

find_python() {
    local candidate
    for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11}; do
        if is_suitable "$candidate"; then
            command -v "$candidate"
            return
        fi
    done
    echo "PoundCake needs Python 3.11, 3.12 or 3.13: install one, or set PYTHON= to its path" >&2
    return 1
}

has_venv() {
    [[ -x .venv/bin/python ]] && is_suitable .venv/bin/python
}

has_python_headers() {
    [[ -e $("$python" -c 'import sysconfig; print(sysconfig.get_path("include"))')/Python.h ]]
}

has_mariadb_headers() {
    pkg-config --exists libmariadb 2>/dev/null || pkg-config --exists mysqlclient 2>/dev/null
}

# Print the missing Debian packages. All but the first are needed to compile mysqlclient, which has
# no wheel for Linux.
missing_packages() {
    has_venv || "$python" -c 'import ensurepip' 2>/dev/null || echo python3-venv
    .venv/bin/python -c 'import MySQLdb' 2>/dev/null && return
    have gcc || echo gcc
    have pkg-config || echo pkg-config
    has_mariadb_headers || echo libmariadb-dev
    has_python_headers || echo python3-dev
}

# Print a lock file without a package and its hashes, which are on the lines that follow.
without_package() {
    awk -v name="$1==" '/^[^ ]/ { drops = index($0, name) == 1 } !drops' "$2"
}

case ${1:-} in
    '') requirements=requirements.txt duration='half a minute' ready=(.venv/ready) ;;
    dev) requirements=requirements-dev.txt duration='a minute' ready=(.venv/ready .venv/ready-dev) ;;
    *) echo "usage: scripts/setup.sh [dev]" >&2; exit 2 ;;
esac

python=$(find_python)
mapfile -t missing < <(missing_packages)
if ((${#missing[@]})) && may_install_packages; then
    install_packages "${missing[@]}"
    mapfile -t missing < <(missing_packages)
fi

if [[ ${missing[0]:-} == python3-venv ]]; then
    echo "Missing: ${missing[*]}. Install at least python3-venv, then retry" >&2
    exit 1
fi
has_venv || { echo "Creating .venv with $("$python" --version)"; "$python" -m venv --clear .venv; }

if ((${#missing[@]})); then
    echo "Missing: ${missing[*]}. Continuing without MariaDB support;" \
        "install them and run make setup to add it"
    without_package mysqlclient "$requirements" >.venv/requirements-without-mysqlclient.txt
    requirements=.venv/requirements-without-mysqlclient.txt
fi
echo "Installing $(grep -c '^[a-zA-Z]' "$requirements") packages into .venv (about $duration)"
.venv/bin/python -m pip install --quiet --disable-pip-version-check \
    --require-hashes -r "$requirements"
# The user that runs PoundCake need not be able to write here, and would compile at each start.
.venv/bin/python -m compileall -q poundcake audit remediation st2_sandbox
touch "${ready[@]}"
echo "Installed the packages into .venv"
