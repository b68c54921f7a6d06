# shellcheck shell=bash
# shellcheck disable=SC2034  # read by the scripts that source this file
# Where the scripts of hack/ keep their things, and how they speak. Sourced, never run.
#
#   PERENNIAL_CACHE    what is expensive to make and the same for every checkout (tools, images)
#   PERENNIAL_STATE    what a running cluster owns; `hack/cluster down` removes its part
#   PERENNIAL_CLUSTER  the name of the cluster that hack/cluster talks about

HACK_DIR=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
REPOSITORY_DIR=$(dirname "$HACK_DIR")
: "${HOME:=/root}"
CACHE_DIR=$(realpath -m "${PERENNIAL_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/perennial}")
STATE_DIR=$(realpath -m "${PERENNIAL_STATE:-${XDG_STATE_HOME:-$HOME/.local/state}/perennial}")

# Progress goes to stderr: stdout belongs to answers such as a path.
say() { printf '%s\n' "$*" >&2; }

die() {
  say "error: $*"
  exit 1
}

# now_ms prints the time in milliseconds, for measuring.
now_ms() { echo $((${EPOCHREALTIME/[^0-9]/} / 1000)); }

# since_ms START prints the seconds since START with one decimal.
since_ms() {
  local elapsed=$(($(now_ms) - $1))
  printf '%d.%d' $((elapsed / 1000)) $((elapsed % 1000 / 100))
}

# step TITLE LOG COMMAND... runs a command into LOG and prints one line with its duration;
# when it fails, the end of LOG is shown, and the script ends.
#
# The command runs in a shell of its own with -e: called as the condition of an `if`, bash would
# ignore failures in the middle of a function.
step() {
  local title=$1 log=$2 start status
  shift 2
  start=$(now_ms)
  mkdir -p "$(dirname "$log")"
  if [[ -t 2 ]]; then printf '  %-44s ...' "$title" >&2; fi
  set +e
  (
    set -e
    "$@"
  ) >"$log" 2>&1 </dev/null
  status=$?
  set -e
  if [[ -t 2 ]]; then printf '\r' >&2; fi
  if ((status != 0)); then
    printf '  %-44s failed after %s s\n' "$title" "$(since_ms "$start")" >&2
    tail -n 30 "$log" | sed 's/^/    | /' >&2
    die "$title failed; the whole output is in $log"
  fi
  printf '  %-44s %6s s\n' "$title" "$(since_ms "$start")" >&2
}

# wait_until SECONDS COMMAND... repeats a command, ten times a second, until it succeeds.
wait_until() {
  local deadline=$(($(now_ms) + $1 * 1000))
  shift
  until "$@" >/dev/null 2>&1; do
    if (($(now_ms) > deadline)); then return 1; fi
    sleep 0.1
  done
}

# digest_of FILE... prints 12 hex digits that change when the content of any file changes.
digest_of() { cat "$@" | sha256sum | cut -c1-12; }
