#!/usr/bin/env bash
# The chart without a cluster: lints, refuses wrong values, renders what install/ holds.
set -euo pipefail
# shellcheck source=hack/environment.sh
source "$(dirname "${BASH_SOURCE[0]}")/../../hack/environment.sh"
# shellcheck source=hack/tools/table.sh
source "$HACK_DIR/tools/table.sh"
"$HACK_DIR/tools/build" helm
HELM=$(tool_path helm)
CHART=$REPOSITORY_DIR/charts/perennial

template() { "$HELM" template perennial "$CHART" --namespace perennial-system "$@" 2>&1; }

# refuses WORD OPTION... fails unless rendering with these values is refused with a message about WORD.
refuses() {
  local word=$1 said
  shift
  if said=$(template "$@"); then die "the chart takes $*"; fi
  grep -q "$word" <<<"$said" || die "refusing $*, the chart says nothing about $word: $said"
}

# renders PATTERN OPTION... fails unless a line of the rendered chart matches.
renders() {
  local pattern=$1
  shift
  grep -qE -e "$pattern" <<<"$(template "$@")" ||
    die "with '$*' the chart renders no line like '$pattern'"
}

# lacks PATTERN OPTION... fails if a line matches.
lacks() {
  local pattern=$1
  shift
  if grep -qE -e "$pattern" <<<"$(template "$@")"; then die "with '$*' the chart renders '$pattern'"; fi
}

"$HELM" lint --strict "$CHART"
refuses replicaCount --set replicaCount=two
refuses logLevel --set controller.logLevel=loud
refuses imagee --set imagee.tag=1
refuses digest --set image.digest=sha256:123
renders '^kind: PodDisruptionBudget$' --set podDisruptionBudget.enabled=true
renders '^kind: NetworkPolicy$' --set networkPolicy.enabled=true
renders '^kind: ServiceMonitor$' --set prometheus.serviceMonitor.enabled=true
renders 'image: other.example/c@sha256:0{64}$' --set image.repository=other.example/c \
  --set "image.digest=sha256:$(printf '0%.0s' {1..64})"
renders '^ +helm.sh/resource-policy: keep$'
lacks 'resource-policy: keep' --set crds.keep=false
lacks '^kind: CustomResourceDefinition' --set crds.enabled=false
lacks '^kind: ValidatingAdmissionPolicy' --set admission.enabled=false
renders '^        - --log-level=debug$' --set controller.logLevel=debug
renders '^        - --verbose$' --set 'controller.extraArgs={--verbose}'
"$HACK_DIR/install-manifest" --check
