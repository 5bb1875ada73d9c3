/**
 * The load benchmark: `npm run bench -- [scenario...] [options]`.
 *
 * Runs Waystation and, where it is installed, RabbitMQ, each in its own process, and drives them
 * in turn with the same load program. Prints a table per scenario and writes all runs as JSON.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { describeCommit, describeMachine, scenarioTable, type Run } from './report.ts'
import { SCENARIOS, type Scenario, type Settings } from './scenarios.ts'
import { externalServer, NodeServer, RabbitServer, waitReady, type Server } from './server.ts'
import type { Target } from './target.ts'

const USAGE = `npm run bench -- [scenario...] [options]
  --peer rabbitmq|none   compare with RabbitMQ where tools/rabbitmq.sh installed it (default)
  --target HOST:PORT     load a broker that already runs instead of Waystation
  --target sink          load no broker, to see how much the load program can drive
  --target none          load the peer only
  --seconds N            how long each flow publishes (default 10)
  --rounds N             how often each scenario runs on each target (default 1)
  --backlog N            messages of the backlog (default 10,000,000)
  --peer-backlog N       the same for the peer (default 1,000,000)
  --json FILE            where to write the runs (default bench/results/local/DATE-COMMIT.json)
scenarios:
${SCENARIOS.map(({ name, about }) => `  ${name.padEnd(14)} ${about}`).join('\n')}`

const { values: flags, positionals: names } = parseArgs({
  allowPositionals: true,
  options: {
    peer: { type: 'string', default: 'rabbitmq' },
    target: { type: 'string', default: 'waystation' },
    seconds: { type: 'string', default: '10' },
    rounds: { type: 'string', default: '1' },
    backlog: { type: 'string', default: '10000000' },
    'peer-backlog': { type: 'string', default: '1000000' },
    json: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
})

async function main(): Promise<void> {
  if (flags.help) {
    console.log(USAGE)
    return
  }
  const scenarios = chooseScenarios()
  const settings: Settings = {
    seconds: positiveNumber('seconds', flags.seconds),
    backlog: positiveNumber('backlog', flags.backlog),
    peerBacklog: positiveNumber('peer-backlog', flags['peer-backlog']),
  }
  const rounds = positiveNumber('rounds', flags.rounds)
  await using resources = new AsyncDisposableStack()
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => void resources.disposeAsync().finally(() => process.exit(130)))
  }
  const targets = await openTargets(resources)
  const versions: Record<string, string> = {}
  for (const { name, server } of targets) {
    versions[name] = await waitReady(server.endpoint, () => true)
  }
  const head = {
    date: new Date().toISOString(),
    commit: describeCommit(),
    machine: describeMachine(),
    versions,
    settings: { ...settings, rounds },
  }
  console.log(head)
  const runs: Run[] = []
  for (const scenario of scenarios) {
    console.log(`\n${scenario.name}: ${scenario.about}`)
    const own = await runScenario(scenario, targets, settings, rounds)
    runs.push(...own)
    console.log(scenarioTable(own))
    writeReport(head.date, head.commit, { ...head, runs })
  }
  if (runs.some((run) => run.error !== null)) process.exitCode = 1
}

/** Rounds outside, targets inside: what disturbs the machine disturbs all of them. */
async function runScenario(
  scenario: Scenario,
  targets: readonly Target[],
  settings: Settings,
  rounds: number,
): Promise<Run[]> {
  const runs: Run[] = []
  for (let round = 1; round <= rounds; round++) {
    for (const target of targets) {
      const run = { scenario: scenario.name, target: target.name, round }
      try {
        runs.push({ ...run, error: null, metrics: await scenario.run(target, settings) })
      } catch (error) {
        runs.push({ ...run, error: (error as Error).message, metrics: {} })
        console.error(target.server.logTail())
      }
    }
  }
  return runs
}

function chooseScenarios(): readonly Scenario[] {
  if (names.length === 0) return SCENARIOS
  return names.map((name) => {
    const scenario = SCENARIOS.find((candidate) => candidate.name === name)
    if (scenario === undefined) throw new Error(`no scenario '${name}'\n${USAGE}`)
    return scenario
  })
}

async function openTargets(resources: AsyncDisposableStack): Promise<Target[]> {
  const targets: Target[] = []
  const own = await openOwn(flags.target)
  if (own !== null) {
    const server = resources.use(own)
    targets.push({ name: flags.target, server, queueArguments: {}, isPeer: false })
  }
  if (flags.peer === 'none') return targets
  if (flags.peer !== 'rabbitmq') throw new Error(`--peer must be rabbitmq or none`)
  if (!RabbitServer.isInstalled()) {
    console.log('RabbitMQ is not installed (tools/rabbitmq.sh install), so there is no peer')
    return targets
  }
  const server = resources.use(await RabbitServer.open())
  for (const queueType of ['classic', 'quorum']) {
    const queueArguments = { 'x-queue-type': queueType }
    targets.push({ name: `rabbitmq ${queueType}`, server, queueArguments, isPeer: true })
  }
  return targets
}

function openOwn(target: string): Promise<Server> | null {
  if (target === 'none') return null
  if (target === 'waystation') return NodeServer.waystation()
  if (target === 'sink') return NodeServer.sink()
  const [host = '', port = ''] = target.split(':')
  return Promise.resolve(externalServer({ host, port: positiveNumber('target', port) }))
}

function positiveNumber(name: string, text: string): number {
  const value = Number(text)
  if (!(value > 0)) throw new Error(`--${name}: '${text}' is no positive number`)
  return value
}

function writeReport(date: string, commit: string, report: object): void {
  const results = fileURLToPath(new URL('../results/local', import.meta.url))
  const day = date.slice(0, 16).replaceAll(':', '')
  const file = flags.json ?? join(results, `${day}-${commit}.json`)
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(file, `${JSON.stringify(report, null, 1)}\n`)
}

try {
  await main()
} catch (error) {
  console.error((error as Error).message)
  process.exitCode = 2
}
