#!/bin/sh
# Installs what the tests start beside Python: a PostgreSQL server, whose programs Debian keeps out of PATH, and the checkers
# of the formal models.
set -eu
command -v initdb >/dev/null 2>&1 || ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 ||
    sh "$(dirname "$0")/install-packages.sh" postgresql
sh "$(dirname "$0")/formal-packages.sh"
