# shellcheck shell=bash
# Functions to install Debian packages. Sourced by the other scripts.

have() {
    command -v "$1" >/dev/null
}

may_install_packages() {
    [[ ${APT:-1} != 0 ]] && have apt-get && { [[ $EUID -eq 0 ]] || sudo -n true 2>/dev/null; }
}

as_root() {
    if [[ $EUID -eq 0 ]]; then "$@"; else sudo -n "$@"; fi
}

# Install packages and print their names. Failures only print an error: callers check the result.
install_packages() {
    echo "Installing the Debian packages $* (a minute or more; APT=0 prevents it)"
    as_root apt-get update -qq || true
    as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get install -qq -y --no-install-recommends "$@" >/dev/null || true
}
