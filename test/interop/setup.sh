#!/bin/bash
# Fetches what npm does not bring for `npm run test:interop`: clients of AMQP, MQTT, Kafka and gRPC, and
# the browser that looks at the console.
#
#   test/interop/setup.sh            everything below
#   test/interop/setup.sh NAME...    only those of: tools browser rabbitmqadmin promtool
#                                  python java kafka go
#
# Safe to run again: what is there already is left alone. Everything but the Debian package lies
# in $WAYSTATION_INTEROP_CACHE, or waystation/interop in the user's cache directory. A client that
# cannot be had is reported and passed over, since its tests then say that they are skipped; with
# CI=true it fails the script.
set -uo pipefail

here=$(cd "$(dirname "$0")" && pwd)
cache=${WAYSTATION_INTEROP_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/waystation/interop}
missing=0

have() { command -v "$1" >/dev/null 2>&1; }

absent() {
  echo "setup.sh: $1 is absent: $2" >&2
  missing=1
}

updated=0
update_apt() {
  (( updated )) || apt-get update -q >&2 || return
  updated=1
}

# The command-line tools of rabbitmq-c, of mosquitto and of librdkafka.
setup_tools() {
  local packages=(amqp-tools mosquitto-clients kcat)
  have amqp-publish && have mosquitto_pub && have kcat && return
  have apt-get || { absent "one of ${packages[*]}" 'no apt-get here'; return; }
  update_apt && DEBIAN_FRONTEND=noninteractive \
    apt-get install -qy --no-install-recommends "${packages[@]}" >&2 ||
    absent "one of ${packages[*]}" 'apt-get failed'
}

# With fonts, so that there is something to see in each of the console's languages.
setup_browser() {
  have chromium && return
  have apt-get || { absent chromium 'no apt-get here'; return; }
  update_apt && DEBIAN_FRONTEND=noninteractive \
    apt-get install -qy --no-install-recommends chromium fonts-noto-cjk fonts-dejavu-core >&2 ||
    absent chromium 'apt-get failed'
}

# Two programs out of Debian packages that bring whole servers, which nobody needs here.
setup_rabbitmqadmin() { setup_program rabbitmqadmin rabbitmq-server usr/bin/rabbitmqadmin; }
setup_promtool() { setup_program promtool prometheus usr/bin/promtool; }

setup_program() {
  local name=$1 package=$2 file=$3 folder=$cache/$1 work
  [[ -x $folder/$name ]] && return
  have apt-get || { absent "$name" 'no apt-get here'; return; }
  work=$(mktemp -d)
  mkdir -p "$folder"
  update_apt && (cd "$work" && apt-get download -q "$package" >&2) &&
    dpkg-deb --fsys-tarfile "$work"/*.deb | tar -x -O "./$file" >"$work/program" &&
    install -m 755 "$work/program" "$folder/$name" || absent "$name" 'apt-get failed'
  rm -rf "$work"
}

setup_python() {
  have python3 || { absent 'the Python clients' 'no python3 here'; return; }
  local venv=$cache/python
  cmp -s "$here/python/requirements.txt" "$venv/requirements.txt" && return
  rm -rf "$venv"
  python3 -m venv "$venv" >&2 &&
    "$venv/bin/pip" install -q --disable-pip-version-check -r "$here/python/requirements.txt" >&2 &&
    cp "$here/python/requirements.txt" "$venv/requirements.txt" || absent 'the Python clients' 'pip failed'
}

# Copies the jars that a pom.xml names into a folder of the cache.
setup_jars() {
  local what=$1 pom=$here/$2 jars=$cache/$3
  have mvn && have javac || { absent "$what" 'no mvn or no JDK here'; return; }
  cmp -s "$pom" "$jars/pom.xml" && return
  rm -rf "$jars"
  mkdir -p "$jars"
  mvn -q -B -f "$pom" "-DoutputDirectory=$jars" dependency:copy-dependencies >&2 &&
    cp "$pom" "$jars/pom.xml" || absent "$what" 'mvn failed'
}

setup_java() {
  setup_jars 'the Java clients' java/pom.xml java
  setup_jars 'gRPC for Java' java/grpc/pom.xml java-grpc
}

# Clients, command line tools and the broker of Apache Kafka.
setup_kafka() { setup_jars 'Apache Kafka' java/kafka/pom.xml kafka; }

setup_go() {
  have go || { absent 'the Go clients' 'no go here'; return; }
  mkdir -p "$cache/go"
  # The build goes on offline from then on: modules and objects are in Go's own caches.
  (cd "$here/go" && go build -o "$cache/go/driver" . &&
    go build -o "$cache/go/management-driver" ./management &&
    go build -o "$cache/go/mqtt-driver" ./mqtt && go build -o "$cache/go/kafka-driver" ./kafka) >&2 ||
    absent 'the Go clients' 'go build failed'
  (cd "$here/../../examples/shop/go" && go build -o "$cache/go/shop" .) >&2 ||
    absent "the shop's device" 'go build failed'
  mkdir -p "$cache/go/tools"
  (cd "$here/go/tools" && go build -o "$cache/go/tools/" tool && go build -o "$cache/go/tools/" ./grpc ./attach) >&2 ||
    { absent 'h2spec, grpcurl, connectconformance and grpc-go' 'go build failed'; return; }
  setup_conformance
}

# The messages of the conformance suite of Connect, out of the files in its module.
setup_conformance() {
  local package=connectrpc.conformance.v1 folder=connectrpc/conformance/v1 protos name work
  protos=$(cd "$here/go/tools" && go list -m -f '{{.Dir}}/proto' connectrpc.com/conformance) &&
    work=$(mktemp -d) || { absent 'the messages of connectconformance' 'no module'; return; }
  for name in ServerCompatRequest ClientCompatRequest ConformanceService; do
    "$cache/go/tools/grpcurl" -import-path "$protos" -proto "$folder/service.proto" \
      -proto "$folder/server_compat.proto" -proto "$folder/client_compat.proto" \
      -protoset-out "$work/$name" describe "$package.$name" >/dev/null ||
      absent 'the messages of connectconformance' 'grpcurl failed'
  done
  # Sets one behind the other are one set.
  cat "$work"/* >"$cache/go/conformance.binpb"
  rm -rf "$work"
}

# Those of one line share a store of packages or its lock and go one after the other; the lines do not.
lines=('tools browser rabbitmqadmin promtool' 'python' 'java kafka' 'go')
# shellcheck disable=SC2086
(( $# > 0 )) || set -- ${lines[*]}
for part in "$@"; do
  [[ " ${lines[*]} " == *" $part "* ]] || { sed -n '2,13s/^# \{0,1\}//p' "$0" >&2; exit 2; }
done
jobs=()
for line in "${lines[@]}"; do
  (
    for part in $line; do
      if [[ " $* " == *" $part "* ]]; then "setup_$part"; fi
    done
    exit "$missing"
  ) &
  jobs+=($!)
done
for job in "${jobs[@]}"; do wait "$job" || missing=1; done
if [[ ${CI:-} == true && $missing == 1 ]]; then exit 1; fi
