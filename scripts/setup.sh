# shellcheck shell=bash
# Shared by ./start and ./test: where the build goes, and the Debian packages that are missing.

# One target directory outside the checkout, so that several checkouts share what they compiled.
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/shoal/target}"

say() { printf '\n== %s\n' "$*" >&2; }

# need COMMAND PACKAGE...: installs the packages unless the command is there.
need() {
    local command=$1
    shift
    command -v "$command" >/dev/null 2>&1 && return
    say "installing $* (for $command)"
    local root=()
    if [ "$(id -u)" != 0 ]; then root=(sudo); fi
    "${root[@]}" apt-get update -qq
    "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"
}

need_rust() {
    if ! command -v cargo >/dev/null 2>&1 && [ -f "$HOME/.cargo/env" ]; then
        # shellcheck disable=SC1091
        . "$HOME/.cargo/env"
    fi
    command -v cargo >/dev/null 2>&1 || {
        say "Rust 1.95 or newer is needed: https://rustup.rs"
        exit 1
    }
}
