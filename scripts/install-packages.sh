#!/bin/sh
# Installs Debian packages where we may; elsewhere names them and fails. Arguments: the packages.
set -eu
[ $# -gt 0 ] || exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    apt-get update -q
    DEBIAN_FRONTEND=noninteractive apt-get install -q -y "$@"
else
    echo "missing: $*; install them with your system's package manager and run make again" >&2
    exit 1
fi
