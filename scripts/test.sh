#!/usr/bin/env bash
# Sets up .venv if needed and runs the tests; arguments go to pytest (scripts/test.sh tests/modules -k emformer).
set -euo pipefail
# shellcheck source=scripts/environment.sh
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

ensure_system_packages
ensure_venv
cd "$ROOT"
say "running the tests"
exec python -m pytest "$@"
