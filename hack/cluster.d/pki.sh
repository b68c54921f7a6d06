# shellcheck shell=bash
# Certificates and kubeconfigs of a cluster. Sourced.
#
# The CA's key stays in the cluster's folder: tests mint certificates for users of their own with it.

readonly CERTIFICATE_DAYS=3650

make_key() { openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1" 2>/dev/null; }

make_ca() {
  make_key "$PKI_DIR/ca.key"
  openssl req -x509 -new -key "$PKI_DIR/ca.key" -days $CERTIFICATE_DAYS -out "$PKI_DIR/ca.crt" \
    -subj "/CN=$CLUSTER-ca" -addext basicConstraints=critical,CA:TRUE \
    -addext keyUsage=critical,keyCertSign,cRLSign,digitalSignature
}

# make_certificate NAME SUBJECT USAGE [ALTERNATIVE_NAMES] writes NAME.key and NAME.crt, signed by
# the CA. USAGE is clientAuth, serverAuth or both with a comma.
make_certificate() {
  local name=$1 subject=$2 usage=$3 alternative_names=${4:-}
  make_key "$PKI_DIR/$name.key"
  {
    echo "basicConstraints=critical,CA:FALSE"
    echo "keyUsage=critical,digitalSignature"
    echo "extendedKeyUsage=$usage"
    if [[ -n $alternative_names ]]; then echo "subjectAltName=$alternative_names"; fi
  } >"$PKI_DIR/$name.ext"
  openssl req -new -utf8 -key "$PKI_DIR/$name.key" -subj "$subject" |
    openssl x509 -req -CA "$PKI_DIR/ca.crt" -CAkey "$PKI_DIR/ca.key" \
      -set_serial "0x$(openssl rand -hex 16)" -days $CERTIFICATE_DAYS \
      -extfile "$PKI_DIR/$name.ext" -out "$PKI_DIR/$name.crt" 2>/dev/null
  rm "$PKI_DIR/$name.ext"
}

# write_kubeconfig FILE NAME writes a kubeconfig that carries the certificate NAME inside.
write_kubeconfig() {
  (
    umask 077
    cat >"$1.partial" <<EOF
apiVersion: v1
kind: Config
clusters:
- name: $CLUSTER
  cluster:
    server: https://$NODE_ADDRESS:6443
    certificate-authority-data: $(base64 -w0 "$PKI_DIR/ca.crt")
users:
- name: $(basename "$2")
  user:
    client-certificate-data: $(base64 -w0 "$PKI_DIR/$2.crt")
    client-key-data: $(base64 -w0 "$PKI_DIR/$2.key")
contexts:
- name: $CLUSTER
  context:
    cluster: $CLUSTER
    user: $(basename "$2")
current-context: $CLUSTER
EOF
  )
  mv "$1.partial" "$1"
}

# make_user NAME [GROUP...] prints the path of a kubeconfig for that user.
make_user() {
  local user=$1 subject='' group file
  shift
  # The name goes into a file name and, in openssl's notation, into a subject.
  if [[ ! $user =~ ^[A-Za-z0-9][A-Za-z0-9._:@-]*$ ]]; then die "'$user' can't be a user's name"; fi
  for group in "$@"; do
    if [[ ! $group =~ ^[A-Za-z0-9][A-Za-z0-9._:@-]*$ ]]; then die "'$group' can't be a group"; fi
    subject+="/O=$group"
  done
  mkdir -p "$USERS_DIR" "$PKI_DIR/users"
  make_certificate "users/$user" "$subject/CN=$user" clientAuth
  file=$USERS_DIR/$user.kubeconfig
  write_kubeconfig "$file" "users/$user"
  echo "$file"
}

# make_pki makes everything once; a restarted cluster keeps its keys.
make_pki() {
  local names component
  if [[ -e $PKI_DIR/complete ]]; then return 0; fi
  rm -rf "$PKI_DIR"
  (umask 077 && mkdir -p "$PKI_DIR")
  make_ca
  names=DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc
  names+=,DNS:kubernetes.default.svc.cluster.local,DNS:localhost
  names+=,IP:$API_SERVICE_ADDRESS,IP:$NODE_ADDRESS,IP:127.0.0.1
  make_certificate kube-apiserver /CN=kube-apiserver serverAuth "$names"
  make_certificate kubelet-client /O=system:masters/CN=kube-apiserver-kubelet-client clientAuth
  make_certificate kubelet "/O=system:nodes/CN=system:node:$CLUSTER" serverAuth,clientAuth \
    "DNS:$CLUSTER,IP:$NODE_ADDRESS,IP:127.0.0.1"
  for component in kube-controller-manager kube-scheduler kube-proxy; do
    make_certificate $component "/CN=system:$component" clientAuth
  done
  make_certificate admin /O=system:masters/CN=admin clientAuth
  openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out "$PKI_DIR/sa.key" 2>/dev/null
  openssl pkey -in "$PKI_DIR/sa.key" -pubout -out "$PKI_DIR/sa.pub"
  mkdir -p "$CONFIG_DIR"
  for component in kubelet kube-controller-manager kube-scheduler kube-proxy; do
    write_kubeconfig "$CONFIG_DIR/$component.kubeconfig" $component
  done
  write_kubeconfig "$ADMIN_KUBECONFIG" admin
  touch "$PKI_DIR/complete"
}
