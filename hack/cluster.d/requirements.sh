# shellcheck shell=bash
# What the machine must offer, checked before anything is started. Sourced.

# check_requirements MODE installs missing packages and ends with a list of all that is missing.
check_requirements() {
  local missing=() hint='' program folder
  if ((EUID != 0)); then
    die "hack/cluster needs root: it makes namespaces and cgroups; run it with sudo -E"
  fi
  "$HACK_DIR/deps" cluster

  local programs='unshare nsenter setsid ip openssl curl jq pgrep flock'
  if [[ $1 == full ]]; then programs+=' runc iptables buildah'; fi
  for program in $programs; do
    command -v "$program" >/dev/null || missing+=("the program '$program'")
  done
  # The node's own /run, /var/lib and /var/log hide the machine's.
  for folder in "$STATE_DIR" "$CACHE_DIR"; do
    if [[ $folder/ == /run/* || $folder/ == /var/lib/* || $folder/ == /var/log/* ]]; then
      missing+=("a folder outside /run, /var/lib and /var/log instead of $folder (PERENNIAL_STATE, PERENNIAL_CACHE)")
    fi
  done
  if ! unshare --net --mount --pid --fork --mount-proc true 2>/dev/null; then
    missing+=("the right to make network, mount and process namespaces (CAP_SYS_ADMIN; in a container: run it privileged)")
  elif ! unshare --net ip link add node0 type bridge 2>/dev/null; then
    missing+=("bridge devices in a new network namespace (kernel module bridge, CAP_NET_ADMIN)")
  fi
  if [[ $1 == full ]]; then
    for program in bridge host-local loopback portmap ptp; do
      [[ -x /usr/lib/cni/$program ]] || missing+=("/usr/lib/cni/$program (package containernetworking-plugins)")
    done
    if ! unshare --net iptables -t nat -L >/dev/null 2>&1; then
      missing+=("iptables' nat table (kernel modules nf_tables or ip_tables, nf_nat)")
    fi
    check_cgroups
  fi
  if ((${#missing[@]} == 0)); then return 0; fi
  printf -v hint '\n  - %s' "${missing[@]}"
  die "this machine can't run the cluster; missing:$hint"
}

# check_cgroups appends to the caller's `missing`.
check_cgroups() {
  local controller
  if [[ -e /sys/fs/cgroup/cgroup.controllers ]]; then
    for controller in cpu memory pids; do
      grep -qw "$controller" /sys/fs/cgroup/cgroup.controllers ||
        missing+=("the cgroup controller '$controller'")
    done
    [[ -w /sys/fs/cgroup/cgroup.subtree_control ]] || missing+=('a writable /sys/fs/cgroup')
  else
    for controller in cpu cpuset cpuacct memory pids devices freezer; do
      [[ -w /sys/fs/cgroup/$controller/cgroup.procs ]] ||
        missing+=("a writable cgroup hierarchy '$controller' in /sys/fs/cgroup")
    done
  fi
}
