#!/bin/bash
# A real RabbitMQ beside Waystation: the peer of the benchmarks and the oracle of the interop tests.
#
#   tools/rabbitmq.sh install               debootstrap a Debian with rabbitmq-server into a folder
#   tools/rabbitmq.sh start PORT [DATADIR]  start a broker on 127.0.0.1:PORT, print its pid when ready
#   tools/rabbitmq.sh stop PORT             stop that broker; its data stay
#   tools/rabbitmq.sh ctl PORT ARGS...      run rabbitmqctl against that broker
#   tools/rabbitmq.sh version               print the installed version, fail if there is none
#
# The folder is $WAYSTATION_RABBITMQ_ROOT, or waystation/rabbitmq in the user's cache directory.
# Each broker has a node name, an epmd and a data directory of its own, and lives in a mount
# namespace of its own, so nothing stays mounted when it ends. Needs root (chroot, unshare).
# With $WAYSTATION_RABBITMQ_HTTP_PORT set, a started broker serves its management API there.
set -euo pipefail

root=${WAYSTATION_RABBITMQ_ROOT:-${XDG_CACHE_HOME:-$HOME/.cache}/waystation/rabbitmq}
suite=${WAYSTATION_RABBITMQ_SUITE:-trixie}
runs=$root.runs
start_seconds_max=60
stop_seconds_max=30

fail() { echo "rabbitmq.sh: $*" >&2; exit 1; }

check_port() {
  [[ ${1:-} =~ ^[0-9]+$ ]] && (( $1 >= 1024 && $1 <= 44000 )) ||
    fail "the port must be a number from 1024 to 44000, got '${1:-}'"
}

# The mirror this machine already uses, so that nothing here names a host.
mirror() {
  apt-get indextargets --format '$(SITE)' 'Origin: Debian' 'Label: Debian' | sort -u | head -n 1
}

# Runs a command inside the folder, with its own /proc and /dev, and DATADIR as /var/lib/rabbitmq.
# Every step is an exec, so the pid of the caller becomes the pid of the broker.
inside() {
  local data=$1
  shift
  exec unshare --mount --propagation private sh -ec '
    root=$1 data=$2
    shift 2
    mount --bind "$data" "$root/var/lib/rabbitmq"
    mount -t proc proc "$root/proc"
    mount --rbind /dev "$root/dev"
    cd /
    exec chroot "$root" "$@"' sh "$root" "$data" "$@"
}

# Fills the array `environment` for the broker on that port: nothing but loopback is listened on.
set_environment() {
  local port=$1
  environment=(env -i PATH=/usr/lib/rabbitmq/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8
    HOME=/var/lib/rabbitmq RABBITMQ_NODENAME="rabbit$port@localhost"
    ERL_EPMD_ADDRESS=127.0.0.1 ERL_EPMD_PORT=$((port + 10000)) RABBITMQ_DIST_PORT=$((port + 20000))
    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS='-kernel inet_dist_use_interface {127,0,0,1}'
    RABBITMQ_CONF_ENV_FILE=/dev/null RABBITMQ_CONFIG_FILE=/var/lib/rabbitmq/rabbitmq.conf
    RABBITMQ_ENABLED_PLUGINS_FILE=/var/lib/rabbitmq/enabled_plugins
    RABBITMQ_MNESIA_BASE=/var/lib/rabbitmq/mnesia RABBITMQ_LOG_BASE=/var/lib/rabbitmq/log)
}

version() {
  [[ -e $root/.complete ]] || return 1
  chroot "$root" dpkg-query -W -f '${source:Upstream-Version}\n' rabbitmq-server
}

install() {
  if version; then return; fi
  (( $(id -u) == 0 )) || fail 'install needs root'
  mkdir -p "${root%/*}"
  exec 9>"$root.lock"
  flock 9
  if version; then return; fi
  if ! command -v debootstrap >/dev/null; then
    apt-get update -q >&2
    DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends debootstrap >&2
  fi
  rm -rf --one-file-system "$root"
  debootstrap --variant=minbase "$suite" "$root" "$(mirror)" >&2
  cp /etc/resolv.conf "$root/etc/resolv.conf"
  # No service may start while packages are set up.
  printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
  chmod +x "$root/usr/sbin/policy-rc.d"
  mkdir -p "$root/var/lib/rabbitmq" "$runs/install"
  (inside "$runs/install" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 \
    DEBIAN_FRONTEND=noninteractive \
    sh -ec 'apt-get install -qy --no-install-recommends rabbitmq-server; apt-get clean') >&2
  printf '127.0.0.1 localhost\n' >"$root/etc/hosts"
  touch "$root/.complete"
  version
}

configure() {
  local port=$1 data=$2
  mkdir -p "$data"
  cat >"$data/rabbitmq.conf" <<CONF
listeners.tcp.1 = 127.0.0.1:$port
log.file.level = warning
log.console = false
CONF
  local plugins=rabbitmq_consistent_hash_exchange
  if [[ -n ${WAYSTATION_RABBITMQ_HTTP_PORT:-} ]]; then
    plugins+=,rabbitmq_management
    cat >>"$data/rabbitmq.conf" <<CONF
management.tcp.ip = 127.0.0.1
management.tcp.port = $WAYSTATION_RABBITMQ_HTTP_PORT
CONF
  fi
  echo "[$plugins]." >"$data/enabled_plugins"
}

alive() { [[ -s $1 ]] && kill -0 "$(cat "$1")" 2>/dev/null; }

start() {
  check_port "${1:-}"
  local port=$1 data=${2:-$runs/$1}
  version >/dev/null || fail 'not installed: run tools/rabbitmq.sh install'
  mkdir -p "$runs"
  if alive "$runs/$port.pid"; then fail "a broker already runs on port $port"; fi
  configure "$port" "$data"
  data=$(realpath "$data")
  set_environment "$port"
  (inside "$data" "${environment[@]}" rabbitmq-server) \
    </dev/null >"$data/console.log" 2>&1 9>&- &
  local pid=$! tries
  echo "$pid" >"$runs/$port.pid"
  disown
  for (( tries = 0; tries < start_seconds_max * 10; tries++ )); do
    if greets "$port"; then echo "$pid"; return; fi
    kill -0 "$pid" 2>/dev/null || fail "the broker ended: see $data/console.log"
    sleep 0.1
  done
  stop "$port"
  fail "no answer on port $port after $start_seconds_max s: see $data/console.log"
}

# True when the port answers the AMQP header with a method frame (connection.start).
greets() {
  (
    exec 3<>"/dev/tcp/127.0.0.1/$1" || exit 1
    printf 'AMQP\0\0\11\1' >&3
    [[ $(head -c 1 <&3 | od -An -tu1 | tr -d ' ') == 1 ]]
  ) 2>/dev/null
}

stop() {
  check_port "${1:-}"
  local port=$1 file=$runs/$1.pid pid tries
  [[ -s $file ]] || fail "no broker was started on port $port"
  pid=$(cat "$file")
  kill "$pid" 2>/dev/null || true
  for (( tries = 0; tries < stop_seconds_max * 10; tries++ )); do
    kill -0 "$pid" 2>/dev/null || break
    sleep 0.1
  done
  kill -9 "$pid" 2>/dev/null || true
  set_environment "$port"
  ("${environment[@]}" "$(command -v chroot)" "$root" epmd -kill) >/dev/null 2>&1 || true
  rm -f "$file"
}

ctl() {
  check_port "${1:-}"
  local port=$1 pid
  shift
  alive "$runs/$port.pid" || fail "no broker was started on port $port"
  pid=$(cat "$runs/$port.pid")
  # The broker's own mount namespace, where its cookie lies.
  set_environment "$port"
  nsenter --mount --target "$pid" "$(command -v chroot)" "$root" "${environment[@]}" rabbitmqctl "$@"
}

case ${1:-} in
  install | start | stop | ctl | version) "$@" ;;
  *) sed -n '2,14s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac
