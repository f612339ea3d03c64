#!/usr/bin/env bash
# Fetch the servers that the tests need and that are missing. No service is started: the MariaDB
# package contains only the program, and Alertmanager and Prometheus are unpacked without being
# installed.
#
# APT=0  fetch nothing, only list the missing servers
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/debian.sh

parts=$PWD/var/parts
PATH=$PATH:/usr/sbin:$parts/usr/bin

has_mariadb() {
    have mariadbd && have mariadb-install-db
}

has_chromium() {
    have chromium
}

has_alertmanager() {
    have prometheus-alertmanager
}

has_prometheus() {
    have prometheus && have promtool
}

unpack() {
    echo "Unpacking the Debian package $1 into var/parts (APT=0 prevents it)"
    local download
    download=$(mktemp -d)
    as_root apt-get update -qq || true
    # As root, apt would otherwise download as a user without write permission there.
    if (cd "$download" && apt-get download -qq -o APT::Sandbox::User=root "$1"); then
        mkdir -p "$parts"
        dpkg-deb -x "$download"/*.deb "$parts"
    fi
    rm -rf "$download"
}

unpack_alertmanager() {
    unpack prometheus-alertmanager
    # Debian's build has the fixed template path /usr/share/... . The replacement has the same
    # length and is relative, so it works if the program is started in var/parts.
    if have prometheus-alertmanager; then
        LC_ALL=C sed -i 's#/usr/share/prometheus/alertmanager#usr/share/prometheus//alertmanager#' \
            "$parts/usr/bin/prometheus-alertmanager"
    fi
}

if may_install_packages; then
    has_mariadb || install_packages mariadb-server-core mariadb-client-core
    has_alertmanager || unpack_alertmanager
    has_prometheus || unpack prometheus
    has_chromium || install_packages chromium
    have mariadb-dump || unpack mariadb-client
    have sqlite3 || install_packages sqlite3
    have systemd-analyze || install_packages systemd
fi
has_mariadb || echo "Missing: MariaDB (Debian package mariadb-server-core)"
has_alertmanager || echo "Missing: Alertmanager (Debian package prometheus-alertmanager)"
has_prometheus || echo "Missing: Prometheus (Debian package prometheus)"
has_chromium || echo "Missing: Chromium (Debian package chromium)"
have mariadb-dump || echo "Missing: mariadb-dump (Debian package mariadb-client)"
have sqlite3 || echo "Missing: sqlite3 (Debian package sqlite3)"
have systemd-analyze || echo "Missing: systemd-analyze (Debian package systemd)"
