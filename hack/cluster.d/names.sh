# shellcheck shell=bash
# shellcheck disable=SC2034  # read by the other files of this folder
# Names, addresses and paths of one cluster. Sourced after hack/environment.sh.
#
# Every cluster lives in network, mount and process namespaces of its own, so that all of them use
# the same addresses without meeting each other.

CLUSTER=${PERENNIAL_CLUSTER:-perennial}
if [[ ! $CLUSTER =~ ^[a-z0-9]([-a-z0-9]{0,28}[a-z0-9])?$ ]]; then
  die "PERENNIAL_CLUSTER='$CLUSTER' is not a DNS label of at most 30 characters"
fi

NODE_ADDRESS=172.30.0.1
NODE_PREFIX=24
SERVICE_CIDR=10.96.0.0/16
API_SERVICE_ADDRESS=10.96.0.1
DNS_ADDRESS=10.96.0.10
CLUSTER_CIDR=10.244.0.0/16
# What the controller manager hands to the first node; CNI is told here, not by the node object.
POD_CIDR=10.244.0.0/24

CLUSTERS_DIR=$STATE_DIR/clusters
CLUSTER_DIR=$CLUSTERS_DIR/$CLUSTER
PKI_DIR=$CLUSTER_DIR/pki
LOG_DIR=$CLUSTER_DIR/logs
PID_DIR=$CLUSTER_DIR/pids
CONFIG_DIR=$CLUSTER_DIR/config
USERS_DIR=$CLUSTER_DIR/users
AUDIT_LOG=$CLUSTER_DIR/audit/audit.log
ADMIN_KUBECONFIG=$CLUSTER_DIR/admin.kubeconfig
CGROUP=perennial-$CLUSTER
