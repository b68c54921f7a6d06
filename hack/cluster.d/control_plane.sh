# shellcheck shell=bash
# etcd, the API server and what belongs to them. Sourced.

start_etcd() {
  # Nothing here has to survive a power cut; without fsync a start takes a fraction of a second and
  # writes don't wait for the disk.
  ensure_component etcd "$(tool_path etcd)" \
    --name=default --data-dir="$CLUSTER_DIR/etcd" --unsafe-no-fsync \
    --listen-client-urls=http://127.0.0.1:2379 --advertise-client-urls=http://127.0.0.1:2379 \
    --listen-peer-urls=http://127.0.0.1:2380 --initial-advertise-peer-urls=http://127.0.0.1:2380 \
    --initial-cluster=default=http://127.0.0.1:2380 \
    --quota-backend-bytes=4294967296 --auto-compaction-retention=10m
}

write_audit_policy() {
  # Who did what, when and with which answer, but no bodies.
  cat >"$CONFIG_DIR/audit-policy.yaml" <<'EOF'
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: None
  nonResourceURLs: ["/readyz*", "/livez*", "/healthz*"]
- level: Metadata
EOF
}

start_api_server() {
  mkdir -p "$(dirname "$AUDIT_LOG")"
  write_audit_policy
  # advertise-address must not be loopback; the kubelet's address type keeps `kubectl logs` from
  # looking the node's name up, which no server knows.
  ensure_component kube-apiserver "$(tool_path kube-apiserver)" \
    --advertise-address="$NODE_ADDRESS" --secure-port=6443 \
    --etcd-servers=http://127.0.0.1:2379 \
    --service-cluster-ip-range="$SERVICE_CIDR" \
    --tls-cert-file="$PKI_DIR/kube-apiserver.crt" \
    --tls-private-key-file="$PKI_DIR/kube-apiserver.key" \
    --client-ca-file="$PKI_DIR/ca.crt" \
    --kubelet-client-certificate="$PKI_DIR/kubelet-client.crt" \
    --kubelet-client-key="$PKI_DIR/kubelet-client.key" \
    --kubelet-certificate-authority="$PKI_DIR/ca.crt" \
    --kubelet-preferred-address-types=InternalIP \
    --service-account-issuer=https://kubernetes.default.svc.cluster.local \
    --service-account-key-file="$PKI_DIR/sa.pub" \
    --service-account-signing-key-file="$PKI_DIR/sa.key" \
    --authorization-mode=Node,RBAC --enable-admission-plugins=NodeRestriction \
    --allow-privileged=true \
    --audit-policy-file="$CONFIG_DIR/audit-policy.yaml" --audit-log-path="$AUDIT_LOG" \
    --audit-log-maxsize=200 --audit-log-maxbackup=1
}

start_controller_manager() {
  ensure_component kube-controller-manager "$(tool_path kube-controller-manager)" \
    --kubeconfig="$CONFIG_DIR/kube-controller-manager.kubeconfig" --leader-elect=false \
    --use-service-account-credentials=true --kube-api-qps=200 --kube-api-burst=400 \
    --service-account-private-key-file="$PKI_DIR/sa.key" --root-ca-file="$PKI_DIR/ca.crt" \
    --cluster-signing-cert-file="$PKI_DIR/ca.crt" --cluster-signing-key-file="$PKI_DIR/ca.key" \
    --allocate-node-cidrs=true --cluster-cidr="$CLUSTER_CIDR" \
    --service-cluster-ip-range="$SERVICE_CIDR"
}

start_scheduler() {
  ensure_component kube-scheduler "$(tool_path kube-scheduler)" \
    --kubeconfig="$CONFIG_DIR/kube-scheduler.kubeconfig" --leader-elect=false
}

# kubectl runs in the cluster's network as the administrator. Its cache of discovery documents
# would otherwise land in the home folder and outlive the cluster.
kubectl() {
  KUBECONFIG=$ADMIN_KUBECONFIG in_network "$(tool_path kubectl)" \
    --cache-dir="$CLUSTER_DIR/kubectl-cache" "$@"
}

api_server_ready() {
  in_network curl --silent --fail --max-time 2 --cacert "$PKI_DIR/ca.crt" \
    --cert "$PKI_DIR/admin.crt" --key "$PKI_DIR/admin.key" "https://$NODE_ADDRESS:6443/readyz"
}

wait_for_api_server() {
  local deadline=$(($(now_ms) + 90000))
  until api_server_ready; do
    live_pid kube-apiserver >/dev/null || die "the API server ended: $(tail -n 5 "$LOG_DIR/kube-apiserver.log")"
    live_pid etcd >/dev/null || die "etcd ended: $(tail -n 5 "$LOG_DIR/etcd.log")"
    if (($(now_ms) > deadline)); then die "the API server is not ready after 90 s"; fi
    sleep 0.1
  done
}

# start_control_plane [WITH_CONTROLLER_MANAGER]
start_control_plane() {
  make_pki
  if ! sandbox_pid >/dev/null; then start_sandbox; fi
  start_etcd
  start_api_server
  if [[ -n ${1:-} ]]; then start_controller_manager; fi
  wait_for_api_server
}
