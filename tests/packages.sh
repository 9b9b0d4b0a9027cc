#!/usr/bin/env bash
# Installs the Debian packages that are missing: as root by apt-get; otherwise
# it says what to install, and fails.
#
#   packages.sh PYTHON PACKAGE:FILE...
#
# FILE shows that PACKAGE is there. PYTHON needs the venv module to work.
set -euo pipefail

python=$1
shift

missing() {
    local pair
    for pair in "$@"; do
        [ -e "${pair#*:}" ] || echo "${pair%%:*}"
    done
    command -v "$python" >/dev/null || echo python3
    # Debian keeps ensurepip, without which a virtualenv gets no pip, in a package of its own.
    "$python" -c 'import ensurepip, venv' 2>/dev/null || echo python3-venv
}

list=$(missing "$@" | tr '\n' ' ')
list=${list% }
[ -n "$list" ] || exit 0

if [ "$(id -u)" != 0 ]; then
    echo "make: these Debian packages are missing; install them and run make again:" >&2
    echo "  sudo apt-get install --no-install-recommends $list" >&2
    exit 1
fi
if ! command -v apt-get >/dev/null; then
    echo "make: please install the equivalents of these Debian packages: $list" >&2
    exit 1
fi

echo "make: installing $list"
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq

# A web server's package would also start its service, now and at each boot: port
# 80 is not ours to take. A policy that is there already is left alone.
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
    trap 'rm -f $policy' EXIT
    printf '#!/bin/sh\nexit 101\n' >$policy
    chmod 755 $policy
fi
enabled() {
    find /etc/systemd/system -name '*.service' -type l 2>/dev/null | sort
}
before=$(enabled)
# What counts is the look afterwards.
# shellcheck disable=SC2086
apt-get install -y -qq --no-install-recommends $list </dev/null >&2 || true
comm -13 <(echo "$before") <(enabled) | xargs -r rm -f

list=$(missing "$@" | tr '\n' ' ')
if [ -n "$list" ]; then
    echo "make: apt-get did not install: $list" >&2
    exit 1
fi
