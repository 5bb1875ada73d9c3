#!/bin/bash
# Lints the Helm chart and renders it to where the tests look at it, without a cluster.
#
#   tools/helm.sh          lints, and renders anew
#
# Takes helm from the path, or builds it with Go into the user's cache: some minutes, once.
set -euo pipefail
cd "$(dirname "$0")/.."

version=v3.22.0
chart=operations/helm/waystation
rendered=test/suites/docs/helm-rendered.yaml
cache=${XDG_CACHE_HOME:-$HOME/.cache}/waystation/helm

helm=$(command -v helm || true)
if [[ -z $helm ]]; then
  helm=$cache/helm
  [[ -x $helm ]] || GOBIN=$cache go install "helm.sh/helm/v3/cmd/helm@$version"
fi
everything=(
  --set protocols.amqps.enabled=true,protocols.mqtts.enabled=true,protocols.kafka.enabled=true
  --set protocols.mqtt-ws.enabled=true,protocols.rpc-ws.enabled=true
  --set tls.existingSecret=certificate,serviceMonitor.enabled=true,serviceMonitor.secret=monitor
  --set service.type=LoadBalancer,settings.limits.messageSize=32MiB,persistence.storageClass=fast
)
"$helm" lint --strict "$chart"
"$helm" lint --strict "$chart" "${everything[@]}"
{
  sum=$(cd "$chart" && find . -type f | LC_ALL=C sort | xargs sha256sum | sha256sum | cut -d ' ' -f 1)
  echo "# Rendered from the chart with the sum $sum; tools/helm.sh does it anew"
  # By chance at each install, so that it cannot be compared.
  user=(--set defaultUser.existingSecret=user)
  cluster=(--namespace messaging --kube-version 1.30.0)
  "$helm" template broker "$chart" "${cluster[@]}" "${user[@]}"
  "$helm" template full "$chart" "${cluster[@]}" "${user[@]}" "${everything[@]}"
} >"$rendered"
echo "$rendered"
