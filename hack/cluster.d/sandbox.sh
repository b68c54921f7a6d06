# shellcheck shell=bash
# The namespaces that a cluster runs in, and the processes inside. Sourced.
#
# Pid files hold "PID START": the start time (clock ticks since boot) tells a process from a later
# one with the same number, so that nothing foreign is ever signalled.

# process_start PID prints when the process started; fails when there is none.
process_start() {
  local stat
  stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
  # The name, in parentheses, may hold spaces: count from behind it.
  stat=${stat##*) }
  # shellcheck disable=SC2086
  set -- $stat
  if [[ $1 == Z ]]; then return 1; fi
  echo "${20}"
}

record_pid() { echo "$2 $(process_start "$2")" >"$PID_DIR/$1.pid"; }

# live_pid NAME prints the pid of a recorded process that still runs; fails otherwise.
live_pid() {
  local pid start
  read -r pid start 2>/dev/null <"$PID_DIR/$1.pid" || return 1
  [[ $(process_start "$pid") == "$start" ]] || return 1
  echo "$pid"
}

sandbox_pid() { live_pid sandbox; }

# in_network COMMAND... runs a command in the cluster's network, but with this shell's file system.
#
# nsenter and not `ip netns exec`: that one remounts /sys and so hides the cgroups.
in_network() { nsenter --target "$(sandbox_pid)" --net -- "$@"; }

# in_node COMMAND... runs a command as on the node: its network, mounts and processes.
in_node() { nsenter --target "$(sandbox_pid)" --net --mount --pid -- "$@"; }

# booted_at prints when the sandbox was made, as Kubernetes writes times: what the API server still
# says about the node and its Pods from before then is history.
booted_at() { date -u -r "$PID_DIR/sandbox.ready" +%FT%TZ; }

start_sandbox() {
  local wrapper init
  rm -rf "$PID_DIR"
  mkdir -p "$PID_DIR" "$LOG_DIR" "$CONFIG_DIR"
  setsid unshare --net --mount --propagation private --pid --fork --kill-child --mount-proc \
    "$HACK_DIR/cluster.d/sandbox_init" "$CLUSTER_DIR" "$NODE_ADDRESS/$NODE_PREFIX" \
    </dev/null >"$LOG_DIR/sandbox.log" 2>&1 {LOCK}>&- &
  wrapper=$!
  record_pid unshare "$wrapper"
  if ! wait_until 10 test -e "$PID_DIR/sandbox.ready"; then
    die "the cluster's namespaces could not be made: $(tail -n 3 "$LOG_DIR/sandbox.log")"
  fi
  init=$(pgrep -P "$wrapper")
  record_pid sandbox "$init"
  disown "$wrapper"
}

stop_sandbox() {
  local pid
  if pid=$(sandbox_pid); then kill -KILL "$pid"; fi
  if pid=$(live_pid unshare); then
    wait_until 20 process_gone "$pid" || die "process $pid does not end"
  fi
  rm -rf "$PID_DIR"
}

process_gone() { ! process_start "$1"; }

# start_component NAME COMMAND... starts a daemon inside the sandbox.
start_component() {
  local name=$1
  shift
  (
    # Thousands of watches and sockets: all that the machine allows.
    ulimit -Sn "$(ulimit -Hn)"
    echo "--- $(date -u +%FT%TZ) starting $name" >>"$LOG_DIR/$name.log"
    PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
      exec setsid nsenter --target "$(sandbox_pid)" --net --mount --pid -- "$@"
  ) </dev/null >>"$LOG_DIR/$name.log" 2>&1 {LOCK}>&- &
  # nsenter stays as the parent of the daemon, because a process can't change its own pid namespace.
  record_pid "$name" $!
  disown $!
}

# stop_component NAME ends one daemon and waits for it.
stop_component() {
  local wrapper pid
  wrapper=$(live_pid "$1") || return 0
  for pid in $(pgrep -P "$wrapper"); do kill -TERM "$pid"; done
  if ! wait_until 20 process_gone "$wrapper"; then
    for pid in $(pgrep -P "$wrapper"); do kill -KILL "$pid"; done
    wait_until 5 process_gone "$wrapper" || die "$1 does not end"
  fi
  rm -f "$PID_DIR/$1.pid"
}

# ensure_component NAME COMMAND... starts it unless it runs.
ensure_component() {
  if ! live_pid "$1" >/dev/null; then start_component "$@"; fi
}

# The hierarchies of cgroup v1, or the single one of v2, as paths of this cluster's groups.
cgroup_roots() {
  if [[ -e /sys/fs/cgroup/cgroup.controllers ]]; then
    echo "/sys/fs/cgroup/$CGROUP"
  else
    local hierarchy
    for hierarchy in /sys/fs/cgroup/*/; do
      # cpu,cpuacct and the like are also reachable by symbolic links to the joint hierarchy.
      if [[ ! -L ${hierarchy%/} && -e $hierarchy/cgroup.procs ]]; then echo "$hierarchy$CGROUP"; fi
    done
  fi
}

make_cgroups() {
  local root parent
  for root in $(cgroup_roots); do
    mkdir -p "$root"
    # In v1 a new cpuset has no processors and no memory until somebody copies them.
    if [[ -e $root/cpuset.cpus && ! -e /sys/fs/cgroup/cgroup.controllers ]]; then
      parent=$(dirname "$root")
      if [[ -z $(<"$root/cpuset.cpus") ]]; then cat "$parent/cpuset.cpus" >"$root/cpuset.cpus"; fi
      if [[ -z $(<"$root/cpuset.mems") ]]; then cat "$parent/cpuset.mems" >"$root/cpuset.mems"; fi
    fi
  done
}

remove_cgroups() {
  local root
  for root in $(cgroup_roots); do
    if [[ -d $root ]]; then
      # A group stays busy for a moment after its last process was killed.
      wait_until 10 remove_cgroup "$root" || say "could not remove $root"
    fi
  done
}

remove_cgroup() {
  find "$1" -depth -type d -exec rmdir {} + 2>/dev/null
  [[ ! -d $1 ]]
}
