#!/usr/bin/env bash
# Clones the committed state into an empty folder and does there what the README promises, with
# the machine's own Node: `npm install`, `npm start`, and with `--test` also `npm test`.
set -euo pipefail

repository="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
scratch="$(mktemp -d)"
broker=''
cleanup() {
  if [[ -n "$broker" ]]; then kill -TERM -- "-$broker" 2>/dev/null || true; fi
  rm -rf "$scratch"
}
trap cleanup EXIT

# npm scripts put the pinned Node first; a stranger's shell does not.
PATH="$(printf '%s' "$PATH" | tr ':' '\n' | grep -v 'node_modules' | paste -sd ':')"
export PATH
echo "node $(node --version), npm $(npm --version)"

git clone --quiet "$repository" "$scratch/waystation"
cd "$scratch/waystation"
npm install --no-progress

# A registry with more platforms than the one the lock file was written from may add to the lock.
changed="$(git status --porcelain | grep -v ' package-lock.json$' || true)"
if [[ -n "$changed" ]]; then
  printf 'npm install changed tracked files:\n%s\n' "$changed"
  exit 1
fi

# Ports are free ones, since another broker may stand on the usual ones.
set -m
npm start --silent -- --data "$scratch/data" --log-format json \
  --listen amqp=127.0.0.1:0 --listen http=off --listen mqtt=off >"$scratch/start.log" 2>&1 &
broker=$!
set +m
port=''
for _ in $(seq 1 300); do
  port="$(sed -nE 's/.*"msg":"ready".*"amqp":"127\.0\.0\.1:([0-9]+)".*/\1/p' "$scratch/start.log")"
  if [[ -n "$port" ]] || ! kill -0 "$broker" 2>/dev/null; then break; fi
  sleep 0.1
done
cat "$scratch/start.log"
if [[ -z "$port" ]]; then
  echo 'npm start did not come up'
  exit 1
fi

# The first message, word for word from the README but for the port.
sed -n '/^```js$/,/^```$/p' README.md | sed '/^```/d' | sed "s/:5672/:$port/" >first.mjs
answer="$(node first.mjs)"
echo "the first message of the README prints: $answer"
[[ "$answer" == 'hello' ]]
rm first.mjs

# npm may be gone before the broker is.
kill -TERM -- "-$broker"
for _ in $(seq 1 100); do
  if grep -q '"msg":"stopped"' "$scratch/start.log"; then break; fi
  sleep 0.1
done
tail -n 1 "$scratch/start.log"
grep -q '"msg":"stopped"' "$scratch/start.log"
wait "$broker" || true
broker=''

if [[ "${1:-}" == '--test' ]]; then npm test; fi
echo 'the fresh clone works'
