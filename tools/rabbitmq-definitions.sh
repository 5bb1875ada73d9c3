#!/bin/bash
# Writes spec/rabbitmq/definitions.json: what a real RabbitMQ exports that holds one of everything.
#
#   tools/rabbitmq-definitions.sh
#
# Starts a fresh broker with tools/rabbitmq.sh, declares over its management API, exports, stops.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

port=${1:-17672}
http=$((port + 1))
data=$(mktemp -d)
chmod 755 "$data"
trap 'tools/rabbitmq.sh stop "$port"; rm -rf "$data"' EXIT
WAYSTATION_RABBITMQ_HTTP_PORT=$http tools/rabbitmq.sh start "$port" "$data" >&2

api() {
  curl -fsS -u guest:guest -H 'content-type: application/json' -X "$1" \
    "http://127.0.0.1:$http/api/$2" -d "$3"
}

sha512=$(tools/rabbitmq.sh ctl "$port" eval \
  'io:format("~s", [base64:encode(rabbit_password:hash(rabbit_password_hashing_sha512, <<"long-secret">>))]).' |
  head -n 1 | sed 's/ok$//')
api PUT users/ada '{"password":"first-secret","tags":"administrator,monitoring"}'
api PUT users/grace "{\"password_hash\":\"$sha512\",\"hashing_algorithm\":\"rabbit_password_hashing_sha512\",\"tags\":\"management\"}"
api PUT users/certified '{"tags":""}'
api PUT user-limits/grace/max-channels '{"value":64}'
api PUT vhosts/shop '{"description":"orders and bills","tags":"production,eu"}'
api PUT vhosts/a%2Fb%20c '{}'
api PUT permissions/shop/ada '{"configure":".*","write":".*","read":".*"}'
api PUT permissions/shop/grace '{"configure":"^grace-","write":"^(orders|events)$","read":".*"}'
api PUT permissions/%2F/grace '{"configure":"","write":"","read":".*"}'
api PUT topic-permissions/shop/grace '{"exchange":"events","write":"^eu\\.","read":".*"}'
api PUT vhost-limits/shop/max-queues '{"value":1000}'
api PUT global-parameters/site '{"value":{"name":"north","racks":[1,2]}}'
api PUT policies/shop/short-lived '{"pattern":"^tmp\\.","apply-to":"queues","priority":7,"definition":{"message-ttl":60000,"expires":1800000,"max-length":1000,"overflow":"reject-publish"}}'
api PUT policies/shop/dead '{"pattern":"^orders","apply-to":"classic_queues","definition":{"dead-letter-exchange":"graveyard","dead-letter-routing-key":"dead"}}'
api PUT policies/shop/fallback '{"pattern":"^orders$","apply-to":"exchanges","definition":{"alternate-exchange":"unrouted"}}'
api PUT operator-policies/shop/ceiling '{"pattern":".*","apply-to":"queues","definition":{"max-length":100000}}'
api PUT exchanges/shop/orders '{"type":"direct","durable":true}'
api PUT exchanges/shop/events '{"type":"topic","durable":true,"arguments":{"alternate-exchange":"unrouted"}}'
api PUT exchanges/shop/unrouted '{"type":"fanout","durable":true,"internal":true}'
api PUT exchanges/shop/graveyard '{"type":"fanout","durable":true}'
api PUT exchanges/shop/by-header '{"type":"headers","durable":true}'
api PUT exchanges/shop/spread '{"type":"x-consistent-hash","durable":true,"arguments":{"hash-header":"customer"}}'
api PUT exchanges/shop/passing '{"type":"topic","durable":false,"auto_delete":true}'
api PUT queues/shop/orders '{"durable":true,"arguments":{"x-max-priority":5,"x-single-active-consumer":true}}'
api PUT queues/shop/orders.quorum '{"durable":true,"arguments":{"x-queue-type":"quorum","x-delivery-limit":4,"x-dead-letter-exchange":"graveyard","x-dead-letter-strategy":"at-least-once","x-overflow":"reject-publish"}}'
api PUT queues/shop/log '{"durable":true,"arguments":{"x-queue-type":"stream","x-max-age":"7D","x-max-length-bytes":1000000000}}'
api PUT queues/shop/dead '{"durable":true,"arguments":{"x-queue-mode":"lazy"}}'
api PUT queues/shop/tmp.1 '{"durable":false,"auto_delete":true,"arguments":{"x-message-ttl":5000,"x-max-length":10}}'
api PUT queues/shop/%2Fodd%20name%3F '{"durable":true}'
api PUT queues/a%2Fb%20c/alone '{"durable":true}'
api POST bindings/shop/e/orders/q/orders '{"routing_key":"new"}'
api POST bindings/shop/e/orders/q/orders.quorum '{"routing_key":"new"}'
api POST bindings/shop/e/events/q/log '{"routing_key":"#"}'
api POST bindings/shop/e/events/e/orders '{"routing_key":"eu.*.order"}'
api POST bindings/shop/e/graveyard/q/dead '{}'
api POST bindings/shop/e/by-header/q/orders '{"arguments":{"x-match":"all","kind":"bill","level":3}}'
api POST bindings/shop/e/by-header/q/log '{"arguments":{"x-match":"any","kind":"note"}}'
api POST bindings/shop/e/spread/q/orders '{"routing_key":"1"}'
api POST bindings/shop/e/spread/q/%2Fodd%20name%3F '{"routing_key":"2"}'
api POST bindings/shop/e/amq.topic/q/dead '{"routing_key":"a/b c"}'

mkdir -p spec/rabbitmq
curl -fsS -u guest:guest "http://127.0.0.1:$http/api/definitions" |
  python3 -m json.tool --no-ensure-ascii >spec/rabbitmq/definitions.json
