/** The Helm chart as `tools/helm.sh` rendered it: what a cluster would be given. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { after, test } from 'node:test'
import { parse, parseAllDocuments } from 'yaml'
import { environmentName } from '../../../src/server/config.ts'
import { allSettings } from '../../../src/server/config-schema.ts'
import { PORTS } from '../../../src/server/protocol-ports.ts'
import { CommandFolder } from '../../support/command.ts'

const ROOT = path.join(import.meta.dirname, '../../..')
const CHART = path.join(ROOT, 'operations/helm/waystation')
const RENDERED = readFileSync(path.join(import.meta.dirname, 'helm-rendered.yaml'), 'utf8')

interface Manifest {
  readonly kind: string
  readonly metadata: { readonly name: string }
  readonly data?: Readonly<Record<string, string>>
  readonly spec?: Readonly<Record<string, unknown>>
}

interface Container {
  readonly args: readonly string[]
  readonly env: readonly { readonly name: string; readonly value: string }[]
  readonly ports: readonly { readonly name: string; readonly containerPort: number }[]
  readonly securityContext: object
  readonly volumeMounts: readonly { readonly name: string }[]
}

interface PodSpec {
  readonly containers: readonly [Container]
  readonly volumes: readonly { readonly name: string }[]
  readonly securityContext: Readonly<Record<string, unknown>>
}

interface StatefulSetSpec {
  readonly replicas: number
  readonly serviceName: string
  readonly template: { readonly spec: PodSpec }
  readonly volumeClaimTemplates: readonly { readonly metadata: { readonly name: string } }[]
}

const folder = new CommandFolder()
after(() => folder[Symbol.dispose]())

const manifests = parseAllDocuments(RENDERED)
  .map((document) => document.toJS() as Manifest | null)
  .filter((manifest) => manifest !== null)

/** Of one of the two renderings: `broker` by the defaults, `full` with everything on. */
function of(kind: string, release: 'broker' | 'full'): Manifest[] {
  return manifests.filter(
    (one) => one.kind === kind && one.metadata.name.startsWith(`${release}-waystation`),
  )
}

function statefulSet(release: 'broker' | 'full'): StatefulSetSpec {
  const [only, ...others] = of('StatefulSet', release)
  assert.equal(others.length, 0)
  // What the chart renders is looked at below, field by field.
  return only?.spec as unknown as StatefulSetSpec
}

test('what is rendered is of the chart as it is', () => {
  const sum = execFileSync(
    'bash',
    ['-c', 'find . -type f | LC_ALL=C sort | xargs sha256sum | sha256sum | cut -d " " -f 1'],
    { cwd: CHART, encoding: 'utf8' },
  ).trim()
  assert.ok(RENDERED.includes(`with the sum ${sum};`), 'run tools/helm.sh')
})

test('the chart knows every listener, with its port', () => {
  const values = parse(readFileSync(path.join(CHART, 'values.yaml'), 'utf8')) as {
    readonly protocols: Readonly<Record<string, { readonly port: number }>>
  }
  const known = PORTS.filter(({ available, name }) => available && !/^https?$/.test(name))
  const standard = known.map(({ name, standardPort }) => [name, standardPort])
  const given = Object.entries(values.protocols).map(([name, { port }]) => [name, port])
  assert.deepEqual(new Map(given as [string, number][]), new Map(standard as [string, number][]))
})

for (const release of ['broker', 'full'] as const) {
  test(`${release}: one pod that is not root, with all it mounts and a service for each port`, () => {
    const { replicas, serviceName, template, volumeClaimTemplates } = statefulSet(release)
    assert.equal(replicas, 1)
    const { containers, volumes, securityContext } = template.spec
    const [container] = containers
    assert.equal(securityContext['runAsNonRoot'], true)
    assert.deepEqual(container.securityContext, {
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    })
    const there = [...volumes, ...volumeClaimTemplates.map(({ metadata }) => metadata)]
    const names = new Set(there.map(({ name }) => name))
    for (const { name } of container.volumeMounts) assert.ok(names.has(name), name)
    const known = new Set(allSettings().map((setting) => environmentName(setting.path)))
    for (const { name } of container.env) assert.ok(known.has(name), `${name} is no setting`)
    const services = of('Service', release)
    assert.ok(services.some(({ metadata }) => metadata.name === serviceName))
    for (const { name, containerPort } of container.ports) {
      const service = services.find((one) => one.metadata.name === `${release}-waystation-${name}`)
      assert.deepEqual(service?.spec?.['ports'], [{ name, port: containerPort, targetPort: name }])
    }
    assert.equal(services.length, container.ports.length + 1)
  })
}

test('a broker takes the configuration that the chart makes', async () => {
  const [map] = of('ConfigMap', 'broker')
  const text = map?.data?.['waystation.yaml'] ?? ''
  const config = parse(text) as { readonly listen: Readonly<Record<string, string>> }
  const { containers } = statefulSet('broker').template.spec
  for (const { name, containerPort } of containers[0].ports) {
    assert.equal(config.listen[name], `*:${containerPort}`)
  }
  // Its own ports and places are those of a cluster.
  const here = text.replaceAll(/'?"?\*:\d+"?'?/g, '0')
  const file = folder.write('chart.yaml', here)
  const { code, stdout, stderr } = await folder.run([
    ...['start', '--config', file, '--data', folder.freshDirectory()],
    ...['--set', `defaultUser.passwordFile=${path.join(folder.path, 'absent')}`],
  ])
  assert.equal(code, 78, stdout)
  // All else was taken: the password is the last thing that is read.
  assert.match(stderr, /^waystation: defaultUser\.passwordFile: .*absent cannot be read/)
})
