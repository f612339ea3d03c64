#!/usr/bin/env bash
# Create .venv with all dependencies of PoundCake and its tests.
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
has_venv || "$python" -m venv --clear .venv

requirements='requirements-dev.txt'
if ((${#missing[@]})); then
    echo "Missing: ${missing[*]}. Continuing without MariaDB support;" \
        "install them and run make setup to add it"
    requirements=.venv/requirements-without-mysqlclient.txt
    grep -hv -e '^mysqlclient==' -e '^-r ' requirements.txt requirements-dev.txt >"$requirements"
fi
.venv/bin/python -m pip install --quiet --disable-pip-version-check -r "$requirements"
touch .venv/ready
