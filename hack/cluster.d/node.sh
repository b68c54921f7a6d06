# shellcheck shell=bash
# The node: containerd, the kubelet and kube-proxy. Sourced.

readonly CONTAINERD_SOCKET=/run/containerd/containerd.sock

# snapshotter prints overlayfs, or native (slow, but works anywhere) where a folder of the state
# can't carry an overlay, as on a file system that is an overlay itself.
snapshotter() {
  local trial=$CLUSTER_DIR/overlay-trial
  mkdir -p "$trial"/{lower,upper,work,merged}
  if unshare --mount mount -t overlay overlay \
    -o "lowerdir=$trial/lower,upperdir=$trial/upper,workdir=$trial/work" "$trial/merged" 2>/dev/null; then
    echo overlayfs
  else
    echo native
  fi
  rm -rf "$trial"
}

write_containerd_config() {
  # restrict_oom_score_adj: root without CAP_SYS_RESOURCE may not lower a score, and runc then fails
  # with "can't get final child's PID from pipe: EOF".
  cat >"$CONFIG_DIR/containerd.toml" <<EOF
version = 3
root = "/var/lib/containerd"
state = "/run/containerd"
[grpc]
  address = "$CONTAINERD_SOCKET"
[plugins."io.containerd.cri.v1.images"]
  snapshotter = "$(snapshotter)"
  [plugins."io.containerd.cri.v1.images".pinned_images]
    sandbox = "perennial.dev/pause:dev"
[plugins."io.containerd.cri.v1.runtime"]
  restrict_oom_score_adj = true
  [plugins."io.containerd.cri.v1.runtime".cni]
    bin_dirs = ["/usr/lib/cni"]
    conf_dir = "$CONFIG_DIR/cni"
  [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    runtime_path = "$(tool_path containerd-shim-runc-v2)"
EOF
  # ptp and not bridge: with every Pod behind a route of its own, an answer can't take a short cut
  # past the address translation of Services, whether or not bridges call iptables here.
  mkdir -p "$CONFIG_DIR/cni"
  cat >"$CONFIG_DIR/cni/pods.conflist" <<EOF
{
  "cniVersion": "0.4.0",
  "name": "pods",
  "plugins": [
    {
      "type": "ptp",
      "ipam": {
        "type": "host-local",
        "dataDir": "/run/cni",
        "ranges": [[{"subnet": "$POD_CIDR"}]],
        "routes": [{"dst": "0.0.0.0/0"}]
      }
    },
    {"type": "portmap", "capabilities": {"portMappings": true}}
  ]
}
EOF
}

write_kubelet_config() {
  # Nothing beyond the cluster's own DNS can be reached, so nothing is forwarded.
  echo "search ." >"$CONFIG_DIR/resolv.conf"
  # Images can't be pulled again: none may be collected. Disks and memory of a small machine must
  # not evict the tests' Pods early.
  cat >"$CONFIG_DIR/kubelet.yaml" <<EOF
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication:
  anonymous: {enabled: false}
  webhook: {enabled: true}
  x509: {clientCAFile: $PKI_DIR/ca.crt}
authorization: {mode: Webhook}
tlsCertFile: $PKI_DIR/kubelet.crt
tlsPrivateKeyFile: $PKI_DIR/kubelet.key
containerRuntimeEndpoint: unix://$CONTAINERD_SOCKET
cgroupDriver: cgroupfs
cgroupRoot: /$CGROUP
enforceNodeAllocatable: []
failCgroupV1: false
failSwapOn: false
oomScoreAdj: 0
clusterDNS: [$DNS_ADDRESS]
clusterDomain: cluster.local
resolvConf: $CONFIG_DIR/resolv.conf
imageGCHighThresholdPercent: 100
imageGCLowThresholdPercent: 99
evictionHard:
  memory.available: 100Mi
  nodefs.available: 1%
  nodefs.inodesFree: 1%
  imagefs.available: 1%
EOF
}

write_kube_proxy_config() {
  # The limits of connection tracking belong to the whole machine: 0 leaves them alone.
  cat >"$CONFIG_DIR/kube-proxy.yaml" <<EOF
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: iptables
clusterCIDR: $CLUSTER_CIDR
hostnameOverride: $CLUSTER
oomScoreAdj: 0
clientConnection: {kubeconfig: $CONFIG_DIR/kube-proxy.kubeconfig}
conntrack: {maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}
EOF
}

start_containerd() {
  write_containerd_config
  ensure_component containerd "$(tool_path containerd)" --config "$CONFIG_DIR/containerd.toml"
  wait_until 20 ctr_in_node version || die "containerd is not ready; see $LOG_DIR/containerd.log"
}

start_kubelet() {
  write_kubelet_config
  ensure_component kubelet "$(tool_path kubelet)" \
    --config="$CONFIG_DIR/kubelet.yaml" --kubeconfig="$CONFIG_DIR/kubelet.kubeconfig" \
    --hostname-override="$CLUSTER" --node-ip="$NODE_ADDRESS"
}

start_kube_proxy() {
  write_kube_proxy_config
  ensure_component kube-proxy "$(tool_path kube-proxy)" --config="$CONFIG_DIR/kube-proxy.yaml"
}

ctr_in_node() { in_node "$(tool_path ctr)" --address "$CONTAINERD_SOCKET" --namespace k8s.io "$@"; }

# load_images TAR... imports archives, except those that are in the node already.
load_images() {
  local tar mark
  mkdir -p "$CLUSTER_DIR/images"
  for tar in "$@"; do
    [[ -r $tar ]] || die "there is no image archive $tar"
    mark=$CLUSTER_DIR/images/$(realpath "$tar" | sha256sum | cut -c1-16)
    if [[ -e $mark && $(<"$mark") == "$(stat -L -c '%i %s %Y' "$tar")" ]]; then continue; fi
    # Over standard input: the node doesn't see all folders of the machine.
    ctr_in_node images import - <"$tar"
    stat -L -c '%i %s %Y' "$tar" >"$mark"
  done
}

start_runtime() {
  make_cgroups
  start_containerd
}

start_kubelet_and_proxy() {
  start_kubelet
  start_kube_proxy
  wait_until 90 node_ready || die "the node is not ready; see $LOG_DIR/kubelet.log"
  # The node's own role, so that a list of nodes looks as people know it.
  kubectl label --overwrite node "$CLUSTER" node-role.kubernetes.io/control-plane= >/dev/null
}

node_ready() {
  local seen
  # A new node, or one that has renewed its lease. All times are in UTC and of one format, so that
  # they can be compared as texts.
  seen=$(kubectl get node "$CLUSTER" -o 'jsonpath={.metadata.creationTimestamp}')
  if [[ $seen < $(booted_at) ]]; then
    seen=$(kubectl --namespace kube-node-lease get lease "$CLUSTER" -o 'jsonpath={.spec.renewTime}')
    [[ $seen > $(booted_at) ]] || return 1
  fi
  [[ $(kubectl get node "$CLUSTER" \
    -o 'jsonpath={.status.conditions[?(@.type=="Ready")].status}') == True ]]
}

start_node() {
  start_scheduler
  step 'container runtime' "$LOG_DIR/up.log" start_runtime
  step 'images into the node' "$LOG_DIR/up.log" load_addon_images
  step 'kubelet and kube-proxy' "$LOG_DIR/up.log" start_kubelet_and_proxy
}
