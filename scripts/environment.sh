# shellcheck shell=bash
# Sourced by the scripts: finds Python, checks the system packages and sets up the virtual environment.
#   PYTHON            interpreter for a new environment (default: python3.11, python3.12 or python3)
#   ECHOSTREAM_VENV   the environment (default: .venv); an existing one keeps the torch that it has
#   ECHOSTREAM_TORCH  pip arguments that install torch where none is there (default: torch==2.13.0)

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
VENV=${ECHOSTREAM_VENV:-$ROOT/.venv}
TORCH=${ECHOSTREAM_TORCH:-torch==2.13.0}

# The system packages (Debian's names) and how to see that each is there. gcc, libc6-dev and python3-dev build
# bitarray, which SimulEval pins to a version without wheels; espeak-ng and flite speak the mini corpus.
# shellcheck disable=SC2016  # expanded when checked
declare -A SYSTEM_PACKAGES=(
    [gcc]='command -v cc'
    [libc6-dev]='echo "#include <stdio.h>" | cc -E -x c -'
    [python3-dev]='"$PYTHON" -c "import os, sysconfig; os.stat(sysconfig.get_path(\"include\") + \"/Python.h\")"'
    [python3-venv]='"$PYTHON" -c "import ensurepip, venv"'
    [espeak-ng]='command -v espeak-ng'
    [flite]='command -v flite'
)

say() { printf '\n== %s\n' "$*"; }

fail() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

find_python() {
    local candidate
    for candidate in ${PYTHON:-} python3.11 python3.12 python3; do
        if "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null; then
            PYTHON=$(command -v "$candidate")
            export PYTHON
            return
        fi
    done
    fail "EchoStream needs Python 3.11 or 3.12: install one (sudo apt-get install python3.11) or set PYTHON=/path/to/it."
}

# Installs the missing system packages where that needs no password; elsewhere says which command does it.
ensure_system_packages() {
    local missing=() package sudo=()
    find_python
    for package in "${!SYSTEM_PACKAGES[@]}"; do
        eval "${SYSTEM_PACKAGES[$package]}" >/dev/null 2>&1 || missing+=("$package")
    done
    ((${#missing[@]} == 0)) && return
    local by_hand="sudo sh -c 'apt-get update && apt-get install -y ${missing[*]}'"
    command -v apt-get >/dev/null || fail "missing system packages: ${missing[*]}; install them with your package manager."
    if [[ $(id -u) != 0 ]]; then
        sudo=(sudo -n)
        sudo -n true 2>/dev/null || fail "missing system packages: ${missing[*]}. Run:  $by_hand"
    fi
    say "installing the system packages ${missing[*]}"
    local apt=("${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq) messages
    if ! messages=$("${apt[@]}" update 2>&1 && "${apt[@]}" install -y "${missing[@]}" 2>&1); then
        printf '%s\n' "$messages" | tail -n 5 >&2
        fail "could not install ${missing[*]}. Run:  $by_hand"
    fi
}

# Creates the environment where there is none and installs this checkout into it, with all extras.
ensure_venv() {
    local stamp constraint extras=corpus,evaluation,dev
    local pip=("$VENV/bin/python" -m pip --disable-pip-version-check --quiet install)
    find_python
    if [[ ! -x $VENV/bin/python ]]; then
        say "creating the virtual environment $VENV with $PYTHON"
        "$PYTHON" -m venv "$VENV"
    fi
    export PATH="$VENV/bin:$PATH"
    stamp="$VENV/echostream-$(cat "$ROOT/setup.py" "$ROOT/requirements/fairseq.txt" | cksum | tr ' ' -)"
    [[ -e $stamp ]] && return
    if ! "$VENV/bin/python" -c 'import torch' 2>/dev/null; then
        say "installing torch: pip install $TORCH"
        # shellcheck disable=SC2086  # the variable holds several arguments
        "${pip[@]}" $TORCH
    fi
    constraint=$(mktemp)
    "$VENV/bin/python" -W ignore -c 'import torch; print("torch==" + torch.__version__)' >"$constraint"
    say "installing fairseq (checked by hash) and EchoStream [$extras]; $(cat "$constraint") stays as it is"
    "${pip[@]}" --no-deps --require-hashes --requirement "$ROOT/requirements/fairseq.txt"
    "${pip[@]}" --constraint "$constraint" --editable "${ROOT}[$extras]"
    rm -f "$constraint"
    touch "$stamp"
}
