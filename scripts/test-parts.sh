#!/usr/bin/env bash
# Fetch the real parts that the tests run with and this machine lacks. No service is started:
# MariaDB's server comes as the bare program, Alertmanager is unpacked and never installed.
#
# APT=0  fetch nothing, only name what is missing
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/debian.sh

parts=$PWD/var/parts
PATH=$PATH:/usr/sbin:$parts/usr/bin

has_mariadb() {
    have mariadbd && have mariadb-install-db
}

has_alertmanager() {
    have prometheus-alertmanager
}

unpack_alertmanager() {
    echo "Unpacking the Debian package prometheus-alertmanager into var/parts (APT=0 prevents it)"
    local download
    download=$(mktemp -d)
    as_root apt-get update -qq || true
    # As root, apt would download as a user who may not write there.
    if (cd "$download" && apt-get download -qq -o APT::Sandbox::User=root prometheus-alertmanager)
    then
        mkdir -p "$parts"
        dpkg-deb -x "$download"/*.deb "$parts"
        # Debian's build looks for its templates below /usr/share only. The new path is as long
        # and relative: it holds where the program is started in var/parts.
        LC_ALL=C sed -i 's#/usr/share/prometheus/alertmanager#usr/share/prometheus//alertmanager#' \
            "$parts/usr/bin/prometheus-alertmanager"
    fi
    rm -rf "$download"
}

if may_install_packages; then
    has_mariadb || install_packages mariadb-server-core mariadb-client-core
    has_alertmanager || unpack_alertmanager
fi
has_mariadb || echo "Missing: MariaDB (Debian package mariadb-server-core)"
has_alertmanager || echo "Missing: Alertmanager (Debian package prometheus-alertmanager)"
