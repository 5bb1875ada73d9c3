#!/bin/bash
# Fetches the third-party AMQP and MQTT clients that npm does not bring, for `npm run test:interop`.
#
#   test/interop/setup.sh            everything below
#   test/interop/setup.sh NAME...    only those of: tools python java go
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

# The command-line tools of rabbitmq-c and of mosquitto.
setup_tools() {
  have amqp-publish && have mosquitto_pub && return
  have apt-get || { absent 'amqp-tools or mosquitto-clients' 'no apt-get here'; return; }
  apt-get update -q >&2 && DEBIAN_FRONTEND=noninteractive \
    apt-get install -qy --no-install-recommends amqp-tools mosquitto-clients >&2 ||
    absent 'amqp-tools or mosquitto-clients' 'apt-get failed'
}

setup_python() {
  have python3 || { absent 'pika and paho-mqtt' 'no python3 here'; return; }
  local venv=$cache/python
  cmp -s "$here/python/requirements.txt" "$venv/requirements.txt" && return
  rm -rf "$venv"
  python3 -m venv "$venv" >&2 &&
    "$venv/bin/pip" install -q --disable-pip-version-check -r "$here/python/requirements.txt" >&2 &&
    cp "$here/python/requirements.txt" "$venv/requirements.txt" || absent 'pika and paho-mqtt' 'pip failed'
}

setup_java() {
  have mvn && have javac || { absent 'the Java clients' 'no mvn or no JDK here'; return; }
  local jars=$cache/java
  cmp -s "$here/java/pom.xml" "$jars/pom.xml" && return
  rm -rf "$jars"
  mkdir -p "$jars"
  mvn -q -B -f "$here/java/pom.xml" "-DoutputDirectory=$jars" dependency:copy-dependencies >&2 &&
    cp "$here/java/pom.xml" "$jars/pom.xml" || absent 'the Java clients' 'mvn failed'
}

setup_go() {
  have go || { absent 'the Go clients' 'no go here'; return; }
  mkdir -p "$cache/go"
  # The build goes on offline from then on: modules and objects are in Go's own caches.
  (cd "$here/go" && go build -o "$cache/go/driver" . && go build -o "$cache/go/mqtt-driver" ./mqtt) >&2 ||
    absent 'the Go clients' 'go build failed'
}

(( $# > 0 )) || set -- tools python java go
for part in "$@"; do
  case $part in
    tools | python | java | go) "setup_$part" ;;
    *) sed -n '2,11s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
  esac
done
if [[ ${CI:-} == true && $missing == 1 ]]; then exit 1; fi
