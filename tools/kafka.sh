#!/bin/bash
# A real Apache Kafka beside Waystation: the peer of the benchmarks and the oracle of the interop tests.
#
#   tools/kafka.sh install              fetch it, as test/interop/setup.sh kafka does
#   tools/kafka.sh start PORT DATADIR [KEY=VALUE...]
#                                       start one broker that is its own controller, with settings
#                                       beyond those of its server.properties; print its pid when ready
#   tools/kafka.sh stop DATADIR         stop that broker; its data stay
#   tools/kafka.sh url DATADIR          print it as WAYSTATION_TEST_TARGET wants it
#   tools/kafka.sh version              print the installed version, fail if there is none
#
# It listens on loopback only: on PORT for anyone, on PORT+1 with SASL, on PORT+2 with SASL over
# TLS, on PORT+3 as controller. The one user is guest with password guest, also with SCRAM.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
jars=${WAYSTATION_INTEROP_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/waystation/interop}/kafka
start_seconds_max=60
stop_seconds_max=30

fail() { echo "kafka.sh: $*" >&2; exit 1; }

version() {
  local jar
  jar=$(compgen -G "$jars/kafka_2.13-*.jar") || return 1
  jar=${jar##*/kafka_2.13-}
  echo "${jar%.jar}"
}

install() {
  "$here/../test/interop/setup.sh" kafka
  version
}

kafka() {
  java -Dorg.slf4j.simpleLogger.defaultLogLevel=warn "${options[@]}" -cp "$jars/*" "$@"
}

# The settings of the distribution's server.properties, with the listeners the tests want.
configure() {
  local port=$1 data=$2
  shift 2
  printf '%s\n' >"$data/server.properties" \
    process.roles=broker,controller \
    node.id=1 \
    controller.quorum.bootstrap.servers=127.0.0.1:$((port + 3)) \
    controller.listener.names=CONTROLLER \
    "listeners=PLAINTEXT://127.0.0.1:$port,SASL://127.0.0.1:$((port + 1)),TLS://127.0.0.1:$((port + 2)),CONTROLLER://127.0.0.1:$((port + 3))" \
    listener.security.protocol.map=PLAINTEXT:PLAINTEXT,SASL:SASL_PLAINTEXT,TLS:SASL_SSL,CONTROLLER:PLAINTEXT \
    inter.broker.listener.name=PLAINTEXT \
    sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512 \
    num.network.threads=3 \
    num.io.threads=8 \
    log.dirs="$data/log" \
    offsets.topic.replication.factor=1 \
    share.coordinator.state.topic.replication.factor=1 \
    share.coordinator.state.topic.min.isr=1 \
    transaction.state.log.replication.factor=1 \
    transaction.state.log.min.isr=1 \
    ssl.keystore.type=PEM \
    ssl.keystore.location="$data/broker.pem"
  local name
  for name in sasl tls; do
    printf "listener.name.$name.%s\n" >>"$data/server.properties" \
      'plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required user_guest="guest";' \
      'scram-sha-256.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;' \
      'scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;'
  done
  printf '%s\n' "$@" >>"$data/server.properties"
}

certify() {
  openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=localhost \
    -addext subjectAltName=DNS:localhost,IP:127.0.0.1 \
    -keyout "$1/key.pem" -out "$1/ca.pem" 2>/dev/null
  cat "$1/key.pem" "$1/ca.pem" >"$1/broker.pem"
}

start() {
  local port=${1:-} data=${2:-}
  [[ $port =~ ^[0-9]+$ ]] && (( port >= 1024 && port <= 65000 )) || fail "no port: '$port'"
  [[ -n $data ]] || fail 'start needs a data directory'
  shift 2
  version >/dev/null || fail 'not installed: run tools/kafka.sh install'
  mkdir -p "$data"
  data=$(realpath "$data")
  [[ -e $data/broker.pem ]] || certify "$data"
  configure "$port" "$data" "$@"
  options=(-Xmx256m)
  if [[ ! -e $data/log/meta.properties ]]; then
    kafka kafka.tools.StorageTool format --standalone --config "$data/server.properties" \
      --cluster-id WaystationOracleAAAAAA \
      --add-scram 'SCRAM-SHA-256=[name=guest,password=guest]' \
      --add-scram 'SCRAM-SHA-512=[name=guest,password=guest]' >"$data/format.log" 2>&1 ||
      fail "cannot format: see $data/format.log"
  fi
  # As bin/kafka-server-start.sh and kafka-run-class.sh set them.
  options=(-Xmx1G -Xms1G -server -XX:+UseG1GC -XX:MaxGCPauseMillis=20
    -XX:InitiatingHeapOccupancyPercent=35 -XX:+ExplicitGCInvokesConcurrent
    -Djava.awt.headless=true)
  exec 3>&1
  (exec 3>&-; exec java -Dorg.slf4j.simpleLogger.defaultLogLevel=warn "${options[@]}" \
    -cp "$jars/*" kafka.Kafka "$data/server.properties") </dev/null >>"$data/console.log" 2>&1 &
  local pid=$! deadline=$((SECONDS + start_seconds_max))
  echo "$pid" >"$data/pid"
  echo "$port" >"$data/port"
  disown
  until answers "$port"; do
    kill -0 "$pid" 2>/dev/null || fail "the broker ended: see $data/console.log"
    (( SECONDS < deadline )) || { stop "$data"; fail "no answer: see $data/console.log"; }
    sleep 0.05
  done
  echo "$pid"
}

# True when the port answers ApiVersions.
answers() {
  (
    exec 4<>"/dev/tcp/127.0.0.1/$1" || exit 1
    printf '\0\0\0\12\0\22\0\0\0\0\0\1\377\377' >&4
    [[ $(timeout 2 head -c 8 <&4 | od -An -tu1 | tr -s ' ' | cut -d' ' -f6-9) == '0 0 0 1' ]]
  ) 2>/dev/null
}

stop() {
  local data=${1:-} pid tries
  [[ -s $data/pid ]] || fail "no broker was started in '$data'"
  pid=$(cat "$data/pid")
  kill "$pid" 2>/dev/null || true
  for (( tries = 0; tries < stop_seconds_max * 10; tries++ )); do
    kill -0 "$pid" 2>/dev/null || break
    sleep 0.1
  done
  kill -9 "$pid" 2>/dev/null || true
  rm -f "$data/pid"
}

url() {
  local data port
  data=$(realpath "$1")
  port=$(cat "$data/port")
  echo "kafka://guest:guest@127.0.0.1:$port?sasl=$((port + 1))&tls=$((port + 2))&ca=$data/ca.pem"
}

case ${1:-} in
  install | start | stop | url | version) "$@" ;;
  *) sed -n '2,15s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac
