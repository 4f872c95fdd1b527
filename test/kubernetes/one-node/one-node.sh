#!/bin/bash
# A real Kubernetes of one node on this machine, where no other cluster is at hand: etcd, the control plane, a kubelet over
# a containerd of its own, kube-proxy, CoreDNS, and kube-router for NetworkPolicies. All of it runs in a network namespace
# without a way out; a cable leads to this machine for kubectl. See README.md.
#
#   one-node.sh build | up | image <name>... | down
set -euo pipefail

HERE=$(cd "$(dirname "$0")" && pwd)
HOME_FOLDER=${POSTRIDER_ONE_NODE:-/opt/k8s}
BIN=$HOME_FOLDER/bin
STATE=$HOME_FOLDER/state
NETWORK=postrider-one-node
MACHINE_END=100.64.77.1
NODE_END=100.64.77.2
PODS=10.244.0.0/16      # of all nodes; the first gets 10.244.0.0/24
SERVICES=10.96.0.0/16
SOCKET=$STATE/containerd.sock
VOLUMES=24
ETCD=http://127.0.0.1:2379
# 1.34 is the last minor version whose kubelet takes cgroup v1 without being told to.
KUBERNETES=1.34.4

say() { echo "one-node: $*"; }
kubectl() { "$BIN/kubectl" --kubeconfig "$STATE/admin.kubeconfig" "$@"; }
containers() { ctr --address "$SOCKET" --namespace k8s.io "$@"; }
inside() { nsenter --net="/run/netns/$NETWORK" "$@"; }

# What outlives this script must not keep the caller's files open: a lock or a pipe among them would never be let go.
close_inherited() {
  local fd
  for fd in "/proc/$BASHPID/fd/"*; do
    fd=${fd##*/}
    [ "$fd" -le 2 ] || eval "exec $fd>&-"
  done
}

# Starts a program inside the network; its log and its pid are named after it.
start() {
  local name=$1; shift
  (
    close_inherited
    # Nothing but the program itself, so that its pid is the one that is noted.
    PATH=$BIN:$PATH exec nsenter --net="/run/netns/$NETWORK" setsid "$@"
  ) >>"$STATE/log/$name.log" 2>&1 </dev/null &
  echo $! >"$STATE/pid/$name"
}

stop() {
  local pid waited=0
  [ -f "$STATE/pid/$1" ] || return 0
  pid=$(cat "$STATE/pid/$1")
  while kill -0 "$pid" 2>/dev/null; do
    if [ $waited -lt 100 ]; then kill "$pid" || true; else kill -9 "$pid" || true; fi
    waited=$((waited + 1)); sleep 0.1
  done
  rm "$STATE/pid/$1"
}

eventually() {
  local tries=0
  until "$@" >/dev/null 2>&1; do
    tries=$((tries + 1)); [ $tries -lt 60 ] || { say "not within 60 s: $*"; exit 1; }
    sleep 1
  done
}

# --- build: everything from published Go modules ---------------------------------------------------------------------

# go_build <folder> <module@version> <output> <ldflags> <package>...: through a module of our own that needs that module.
go_build() {
  local folder=$HOME_FOLDER/src/$1 module=$2 output=$HOME_FOLDER/$3 ldflags=$4; shift 4
  say "building $module"
  mkdir -p "$folder" "$BIN" "$HOME_FOLDER/cni/bin"; cd "$folder"
  printf 'module onenode\n\ngo 1.24.0\n\nrequire %s\n' "${module/@/ }" >go.mod
  # Kubernetes' own go.mod points at folders of its repository: v1.34.4 is made of v0.34.4 of these modules.
  if [ "$1" = kubernetes ]; then shift; kubernetes_modules >>go.mod; fi
  go get "${@/%/@${module#*@}}"
  CGO_ENABLED=0 nice -n 15 go build -trimpath -ldflags "-s -w $ldflags" -o "$output" "$@"
}

kubernetes_modules() {
  local folder
  folder=$(go mod download -json "k8s.io/kubernetes@v$KUBERNETES" | sed -n 's/.*"Dir": "\(.*\)".*/\1/p')
  printf '\ngodebug default=go1.24\n\n'
  sed -nE "s#^\s*(k8s\.io/\S+) => \./staging.*#replace \1 => \1 v0.${KUBERNETES#1.}#p" "$folder/go.mod"
}

build() {
  local cni=github.com/containernetworking/plugins/plugins flags='' variables
  local router=github.com/cloudnativelabs/kube-router/v2 commands=k8s.io/kubernetes/cmd
  for variables in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
    flags+=" -X $variables.gitVersion=v$KUBERNETES -X $variables.gitMajor=1 -X $variables.gitMinor=34"
  done
  go_build etcd go.etcd.io/etcd/server/v3@v3.6.16 bin/etcd '' go.etcd.io/etcd/server/v3
  go_build cni github.com/containernetworking/plugins@v1.9.1 cni/bin/ '' \
    $cni/main/{bridge,loopback} $cni/ipam/host-local $cni/meta/portmap
  go_build coredns github.com/coredns/coredns@v1.15.0 bin/coredns '' github.com/coredns/coredns
  go_build kube-router $router@v2.1.0 bin/kube-router '' $router/cmd/kube-router
  go_build kubernetes "k8s.io/kubernetes@v$KUBERNETES" bin/ "$flags" kubernetes \
    $commands/{kube-apiserver,kube-controller-manager,kube-proxy,kube-scheduler,kubectl,kubelet}
}

# --- up ---------------------------------------------------------------------------------------------------------------

make_network() {
  ip netns add $NETWORK
  ip link add one-node type veth peer name machine netns $NETWORK
  ip addr add $MACHINE_END/30 dev one-node
  ip link set one-node up
  inside ip addr add $NODE_END/30 dev machine
  inside ip link set lo up
  inside ip link set machine up
  inside sysctl -qw net.ipv4.ip_forward=1 net.bridge.bridge-nf-call-iptables=1
}

make_certificates() {
  local new='-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 365'
  openssl req -x509 $new -keyout ca.key -out ca.crt -subj /CN=one-node
  openssl req -x509 $new -CA ca.crt -CAkey ca.key -keyout server.key -out server.crt -subj /O=system:masters/CN=server \
    -addext "subjectAltName=IP:$NODE_END,IP:10.96.0.1,DNS:kubernetes.default.svc,DNS:one"
  openssl ecparam -name prime256v1 -genkey -noout -out accounts.key
  openssl ec -in accounts.key -pubout -out accounts.pub
}

# identity <file> <user> <groups>
identity() {
  local token; token=$(openssl rand -hex 16)
  echo "$token,$2,$2,\"$3\"" >>tokens.csv
  cat >"$1.kubeconfig" <<EOF
{apiVersion: v1, kind: Config, current-context: one-node,
 clusters: [{name: one-node, cluster: {server: "https://$NODE_END:6443", certificate-authority: $STATE/ca.crt}}],
 users: [{name: me, user: {token: $token}}], contexts: [{name: one-node, context: {cluster: one-node, user: me}}]}
EOF
}

write_settings() {
  mkdir -p "$STATE"/{log,pid,net.d,images}; chmod 700 "$STATE"; cd "$STATE"
  make_certificates 2>log/openssl.log
  identity admin admin system:masters
  identity kube-controller-manager system:kube-controller-manager ''
  identity kube-scheduler system:kube-scheduler ''
  identity kube-proxy system:kube-proxy ''
  identity kubelet system:node:one system:nodes
  touch resolv.conf
  # A machine may withhold CAP_SYS_RESOURCE from root: restrict_oom_score_adj.
  cat >containerd.toml <<EOF
version = 2
root = "$HOME_FOLDER/containers"
state = "$STATE/containerd"
[grpc]
address = "$SOCKET"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "localhost/pause:one-node"
restrict_oom_score_adj = true
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "$HOME_FOLDER/cni/bin"
conf_dir = "$STATE/net.d"
EOF
  cat >net.d/10-bridge.conflist <<EOF
{"cniVersion": "1.0.0", "name": "pods", "plugins": [
  {"type": "bridge", "bridge": "pods0", "isGateway": true, "hairpinMode": true,
   "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.244.0.0/24"}]], "dataDir": "$STATE/addresses",
            "routes": [{"dst": "0.0.0.0/0"}]}},
  {"type": "portmap", "capabilities": {"portMappings": true}}]}
EOF
  cat >kubelet.yaml <<EOF
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: $STATE/ca.crt}}
authorization: {mode: Webhook}
cgroupDriver: cgroupfs
clusterDNS: [10.96.0.10]
clusterDomain: cluster.local
containerRuntimeEndpoint: unix://$SOCKET
failSwapOn: false
resolvConf: $STATE/resolv.conf
tlsCertFile: $STATE/server.crt
tlsPrivateKeyFile: $STATE/server.key
# Images that were built here must not go because the disk is fairly full.
imageGCHighThresholdPercent: 100
evictionHard: {nodefs.available: 1%, imagefs.available: 1%, memory.available: 100Mi}
EOF
}

start_control_plane() {
  # Nothing here has to survive a power cut.
  start etcd etcd --name=one --data-dir="$STATE/etcd" --listen-client-urls=$ETCD --advertise-client-urls=$ETCD \
    --log-level=warn --unsafe-no-fsync
  start kube-apiserver kube-apiserver --etcd-servers=$ETCD --advertise-address=$NODE_END --allow-privileged=true \
    --authorization-mode=Node,RBAC --enable-admission-plugins=NodeRestriction --service-cluster-ip-range=$SERVICES \
    --client-ca-file="$STATE/ca.crt" --token-auth-file="$STATE/tokens.csv" \
    --tls-cert-file="$STATE/server.crt" --tls-private-key-file="$STATE/server.key" \
    --kubelet-client-certificate="$STATE/server.crt" --kubelet-client-key="$STATE/server.key" \
    --kubelet-preferred-address-types=InternalIP --service-account-issuer=https://kubernetes.default.svc.cluster.local \
    --service-account-key-file="$STATE/accounts.pub" --service-account-signing-key-file="$STATE/accounts.key"
  start kube-controller-manager kube-controller-manager --leader-elect=false --bind-address=127.0.0.1 \
    --kubeconfig="$STATE/kube-controller-manager.kubeconfig" --use-service-account-credentials=true \
    --service-account-private-key-file="$STATE/accounts.key" --root-ca-file="$STATE/ca.crt" \
    --allocate-node-cidrs=true --cluster-cidr=$PODS
  start kube-scheduler kube-scheduler --leader-elect=false --bind-address=127.0.0.1 \
    --kubeconfig="$STATE/kube-scheduler.kubeconfig"
}

start_node() {
  start kubelet kubelet --config="$STATE/kubelet.yaml" --kubeconfig="$STATE/kubelet.kubeconfig" \
    --root-dir="$STATE/kubelet" --hostname-override=one --node-ip=$NODE_END
  # The machine's settings of conntrack are not ours to change.
  start kube-proxy kube-proxy --kubeconfig="$STATE/kube-proxy.kubeconfig" --hostname-override=one --proxy-mode=iptables \
    --cluster-cidr=$PODS --conntrack-max-per-core=0 --conntrack-tcp-timeout-established=0s \
    --conntrack-tcp-timeout-close-wait=0s
  eventually kubectl get node one
  # Enforces NetworkPolicies and does nothing else.
  start kube-router kube-router --kubeconfig="$STATE/admin.kubeconfig" --hostname-override=one --run-firewall=true \
    --service-cluster-ip-range=$SERVICES --run-router=false --run-service-proxy=false --run-loadbalancer=false
  kubectl wait --for=condition=Ready node/one --timeout=60s >/dev/null
}

# What holds a pod's namespaces, and DNS: each one static program.
make_images() {
  local name
  cd "$STATE/images"
  echo 'int pause(void); int main(void) { for (;;) pause(); }' >pause.c
  gcc -static -Os -o pause pause.c
  cp "$BIN/coredns" .
  for name in pause coredns; do
    printf 'FROM scratch\nCOPY %s /%s\nENTRYPOINT ["/%s"]\n' $name $name $name |
      docker build --quiet --tag localhost/$name:one-node --file - . >/dev/null
    take localhost/$name:one-node
    docker rmi localhost/$name:one-node >/dev/null
  done
}

make_volumes() {
  local i
  for i in $(seq $VOLUMES); do
    mkdir -p "$STATE/volumes/$i"
    cat <<EOF
{apiVersion: v1, kind: PersistentVolume, metadata: {name: local-$i}, spec: {storageClassName: local,
 capacity: {storage: 100Gi}, accessModes: [ReadWriteOnce], persistentVolumeReclaimPolicy: Retain,
 local: {path: $STATE/volumes/$i}, nodeAffinity: {required: {nodeSelectorTerms: [
 {matchExpressions: [{key: kubernetes.io/hostname, operator: In, values: [one]}]}]}}}}
---
EOF
  done
}

up() {
  [ ! -e "$STATE" ] || { say "$STATE is there: end that cluster with 'down' first"; exit 1; }
  make_network
  write_settings
  start_control_plane
  start containerd containerd --config "$STATE/containerd.toml" --log-level warn
  eventually containers version
  make_images
  eventually kubectl get --raw /readyz
  eventually kubectl -n kube-system get serviceaccount default
  kubectl apply -f "$HERE/objects.yaml" >/dev/null
  make_volumes | kubectl apply -f - >/dev/null
  start_node
  kubectl -n kube-system rollout status deployment/coredns --timeout=90s
  say "ready: export KUBECONFIG=$STATE/admin.kubeconfig PATH=$BIN:\$PATH"
}

# Takes an image of the Docker Engine into the cluster.
take() {
  docker save "$1" | containers images import - >/dev/null
  say "the cluster has $1"
}

down() {
  local name spaces=''
  for name in kubelet kube-router kube-proxy kube-scheduler kube-controller-manager; do stop $name; done
  if [ -S "$SOCKET" ]; then
    spaces=$(for name in $(containers containers list --quiet); do containers containers info "$name"; done |
      grep -oE '/netns/cni-[0-9a-f-]+' | sort -u || true)
    for name in $(containers tasks list --quiet); do containers tasks rm --force "$name" >/dev/null 2>&1 || true; done
  fi
  for name in kube-apiserver etcd containerd; do stop $name; done
  awk -v below="$STATE/" 'index($2, below) == 1 { print $2 }' /proc/mounts | sort -r | xargs --no-run-if-empty umount --lazy
  for name in $spaces $NETWORK; do ip netns del "${name#/netns/}" 2>/dev/null || true; done
  rm -rf "$STATE" "$HOME_FOLDER/containers"
  say "the cluster is gone"
}

case ${1:-} in
  build | up | down) "$1" ;;
  image) shift; for name in "$@"; do take "$name"; done ;;
  *) sed -n '6p' "$0"; exit 1 ;;
esac
