# shellcheck shell=bash
# What runs as Pods: cluster DNS and Envoy Gateway. Sourced.

readonly GATEWAY_NAMESPACE=envoy-gateway-system

# build_addon_images sets ADDON_ARCHIVES.
build_addon_images() {
  local paths
  paths=$("$HACK_DIR/images" addons)
  mapfile -t ADDON_ARCHIVES <<<"$paths"
}

load_addon_images() { load_images "${ADDON_ARCHIVES[@]}"; }

# addons_key changes whenever what is installed has to be installed again.
addons_key() {
  { cat "$HACK_DIR/cluster.d"/{*.yaml,addons.sh}; tool_path envoy-gateway-chart; } | sha256sum | cut -c1-12
}

apply_dns() {
  kubectl apply --server-side --filename "$HACK_DIR/cluster.d/dns.yaml"
}

# install_gateway installs the chart that belongs to the built version, with its CRDs and those of
# the Gateway API. Helm's caches stay in the cluster's folder. The lease is long enough for a restart
# of the API server: a gateway that loses it hangs until its liveness probe gives up, a minute later.
install_gateway() {
  KUBECONFIG=$ADMIN_KUBECONFIG HELM_CACHE_HOME=$CLUSTER_DIR/helm HELM_CONFIG_HOME=$CLUSTER_DIR/helm \
    HELM_DATA_HOME=$CLUSTER_DIR/helm in_network "$(tool_path helm)" upgrade --install gateway \
    "$(tool_path envoy-gateway-chart)" --namespace $GATEWAY_NAMESPACE --create-namespace \
    --set global.images.envoyGateway.image=perennial.dev/envoy-gateway:dev \
    --set global.images.envoyProxy.image=perennial.dev/envoy-proxy:dev \
    --set topologyInjector.enabled=false \
    --set config.envoyGateway.provider.kubernetes.leaderElection.leaseDuration=60s \
    --set config.envoyGateway.provider.kubernetes.leaderElection.renewDeadline=45s \
    --timeout 3m
  kubectl apply --server-side --filename "$HACK_DIR/cluster.d/gateway_class.yaml"
}

# deployment_available NAMESPACE NAME: and its Pods have been running since the node booted.
deployment_available() {
  [[ $(kubectl --namespace "$1" get deployment "$2" \
    -o 'jsonpath={.status.conditions[?(@.type=="Available")].status}') == True ]] || return 1
  kubectl --namespace "$1" get pods -o json | jq --exit-status --arg booted "$(booted_at)" \
    '[.items[].status | select(.phase == "Running").containerStatuses[]] |
     all(.ready and .state.running.startedAt >= $booted)' >/dev/null
}

gateway_class_accepted() {
  [[ $(kubectl get gatewayclass perennial \
    -o 'jsonpath={.status.conditions[?(@.type=="Accepted")].status}') == True ]]
}

addons_ready() {
  [[ -e $CLUSTER_DIR/addons && $(<"$CLUSTER_DIR/addons") == "$(addons_key)" ]] &&
    deployment_available kube-system coredns &&
    deployment_available $GATEWAY_NAMESPACE envoy-gateway && gateway_class_accepted
}

# describe_gateway prints what is known of a gateway that doesn't become available.
describe_gateway() {
  kubectl --namespace $GATEWAY_NAMESPACE get pods -o wide || true
  kubectl --namespace $GATEWAY_NAMESPACE get events --sort-by=.lastTimestamp | tail -n 8 || true
  kubectl --namespace $GATEWAY_NAMESPACE logs deployment/envoy-gateway --tail=8 || true
  kubectl --namespace $GATEWAY_NAMESPACE logs deployment/envoy-gateway --tail=8 --previous || true
}

# wait_for_gateway gives it a second process before it gives up: rarely, one has started and never
# become ready. Why goes to where start_addons shows it.
wait_for_gateway() {
  local attempt
  for attempt in first second; do
    wait_until 75 deployment_available $GATEWAY_NAMESPACE envoy-gateway && return
    echo "Envoy Gateway is not available after its $attempt start" >>"$LOG_DIR/gateway.log"
    describe_gateway >>"$LOG_DIR/gateway.log" 2>&1
    kubectl --namespace $GATEWAY_NAMESPACE delete pods --selector control-plane=envoy-gateway \
      --wait=false
  done
  wait_until 75 deployment_available $GATEWAY_NAMESPACE envoy-gateway && return
  describe_gateway
  return 1
}

wait_for_addons() {
  rm -f "$LOG_DIR/gateway.log"
  wait_until 120 deployment_available kube-system coredns || die 'cluster DNS is not available'
  wait_for_gateway || die 'Envoy Gateway is not available'
  wait_until 60 gateway_class_accepted || die 'the GatewayClass perennial is not accepted'
}

install_addons() {
  apply_dns
  install_gateway
  addons_key >"$CLUSTER_DIR/addons"
}

start_addons() {
  if [[ ! -e $CLUSTER_DIR/addons || $(<"$CLUSTER_DIR/addons") != "$(addons_key)" ]]; then
    step 'DNS and Envoy Gateway' "$LOG_DIR/up.log" install_addons
  fi
  step 'DNS and Envoy Gateway ready' "$LOG_DIR/up.log" wait_for_addons
  if [[ -e $LOG_DIR/gateway.log ]]; then sed 's/^/    | /' "$LOG_DIR/gateway.log" >&2; fi
}
