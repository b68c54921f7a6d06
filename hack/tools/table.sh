# shellcheck shell=bash
# shellcheck disable=SC2034  # read by the scripts that source this file
# The Go programs that the cluster and the benchmarks run, and where a built one lies. Sourced.
#
# Every module has a folder here with its own go.mod and go.sum: the tools need different versions
# of the same libraries, so that one module for all could not be resolved.

# binary (or a chart or a CRD that lies in the module) | folder of its module | package
TOOL_TABLE='
kube-apiserver          kubernetes    k8s.io/kubernetes/cmd/kube-apiserver
kubectl                 kubernetes    k8s.io/kubernetes/cmd/kubectl
kube-controller-manager kubernetes    k8s.io/kubernetes/cmd/kube-controller-manager
kubelet                 kubernetes    k8s.io/kubernetes/cmd/kubelet
kube-scheduler          kubernetes    k8s.io/kubernetes/cmd/kube-scheduler
kube-proxy              kubernetes    k8s.io/kubernetes/cmd/kube-proxy
containerd              containerd    github.com/containerd/containerd/v2/cmd/containerd
containerd-shim-runc-v2 containerd    github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2
ctr                     containerd    github.com/containerd/containerd/v2/cmd/ctr
etcd                    etcd          go.etcd.io/etcd/server/v3
helm                    helm          helm.sh/helm/v4/cmd/helm
coredns                 coredns       github.com/coredns/coredns
envoy-gateway           envoy-gateway github.com/envoyproxy/gateway/cmd/envoy-gateway
envoy-gateway-chart     envoy-gateway github.com/envoyproxy/gateway/charts/gateway-helm
kwok                    kwok          sigs.k8s.io/kwok/cmd/kwok
rollouts-controller     argo-rollouts github.com/argoproj/argo-rollouts/cmd/rollouts-controller
textparse-bench         prometheus    perennial.dev/hack/tools/prometheus
rayjob-crd              kuberay       github.com/ray-project/kuberay/ray-operator/config/crd/bases/ray.io_rayjobs.yaml
trainjob-crd            trainer       github.com/kubeflow/trainer/v2/manifests/base/crds/trainer.kubeflow.org_trainjobs.yaml
workflow-crd            argo-workflows github.com/argoproj/argo-workflows/v4/manifests/base/crds/full/argoproj.io_workflows.yaml
pipelinerun-crd         tekton        github.com/tektoncd/pipeline/config/300-crds/300-pipelinerun.yaml
'
# Built when no tool is named; the others (benchmarks only) are built on demand.
# etcd and the API server come first: the control plane needs nothing else.
DEFAULT_TOOLS='etcd kube-apiserver kubectl kube-controller-manager kubelet kube-scheduler kube-proxy
  containerd containerd-shim-runc-v2 ctr helm coredns envoy-gateway envoy-gateway-chart
  rayjob-crd trainjob-crd workflow-crd pipelinerun-crd'

TOOLS_DIR=$HACK_DIR/tools

# tool_row TOOL sets tool_module and tool_package.
tool_row() {
  local name module package
  while read -r name module package; do
    if [[ $name == "$1" ]]; then
      tool_module=$module
      tool_package=$package
      return 0
    fi
  done <<<"$TOOL_TABLE"
  die "no tool is called '$1'; hack/tools/table.sh lists them"
}

# tool_module_path MODULE prints the name of the Go module that the tool comes from.
tool_module_path() {
  case $1 in
    kubernetes) echo k8s.io/kubernetes ;;
    containerd) echo github.com/containerd/containerd/v2 ;;
    etcd) echo go.etcd.io/etcd/server/v3 ;;
    helm) echo helm.sh/helm/v4 ;;
    coredns) echo github.com/coredns/coredns ;;
    envoy-gateway) echo github.com/envoyproxy/gateway ;;
    kwok) echo sigs.k8s.io/kwok ;;
    argo-rollouts) echo github.com/argoproj/argo-rollouts ;;
    prometheus) echo github.com/prometheus/prometheus ;;
    kuberay) echo github.com/ray-project/kuberay/ray-operator ;;
    trainer) echo github.com/kubeflow/trainer/v2 ;;
    argo-workflows) echo github.com/argoproj/argo-workflows/v4 ;;
    tekton) echo github.com/tektoncd/pipeline ;;
    *) die "no tool module is called '$1'" ;;
  esac
}

# tool_module_version MODULE prints the version that the module's go.mod asks of the tool itself.
tool_module_version() {
  local path
  path=$(tool_module_path "$1")
  awk -v path="$path" '
    $1 == "require" && $2 == path { print $3; exit }
    $1 == path && $2 ~ /^v/ { print $2; exit }' "$TOOLS_DIR/$1/go.mod"
}

# tool_ldflags MODULE prints the linker flags of the module's tools.
#
# Kubernetes programs built without a version report v0.0.0, which clients and the programs
# themselves refuse to work with.
tool_ldflags() {
  local version major minor rest
  version=$(tool_module_version "$1")
  printf '%s' '-s -w'
  case $1 in
    containerd) printf ' -X %s/version.Version=%s' "$(tool_module_path "$1")" "$version" ;;
    kubernetes)
      rest=${version#v}
      major=${rest%%.*}
      rest=${rest#*.}
      minor=${rest%%.*}
      local package=k8s.io/component-base/version
      printf ' -X %s.gitVersion=%s -X %s.gitMajor=%s -X %s.gitMinor=%s' \
        "$package" "$version" "$package" "$major" "$package" "$minor"
      ;;
  esac
}

# tool_tags MODULE prints the build tags of the module's tools: what the cluster uses none of.
tool_tags() {
  if [[ $1 == containerd ]]; then printf 'no_btrfs,no_devmapper,no_zfs'; fi
}

# tool_dir MODULE prints the folder of the module's binaries, keyed by everything they depend on.
tool_dir() {
  local key
  key=$({
    # Sources of our own that measure a library.
    find "$TOOLS_DIR/$1" -name '*.go' -exec cat {} +
    cat "$TOOLS_DIR/$1/go.mod" "$TOOLS_DIR/$1/go.sum"
    tool_ldflags "$1"
    tool_tags "$1"
    uname -m
  } | sha256sum | cut -c1-12)
  echo "$CACHE_DIR/tools/$1-$(tool_module_version "$1")-$key"
}

# tool_path TOOL prints where the tool lies, or will lie once it is built.
tool_path() {
  local tool_module tool_package
  tool_row "$1"
  echo "$(tool_dir "$tool_module")/$1"
}
