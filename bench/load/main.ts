/**
 * The load benchmark: `npm run bench -- [scenario...] [options]`.
 *
 * Runs Waystation and the peers that are installed, each in its own process, and drives them in
 * turn with the same load program. Prints a table per scenario and writes all runs as JSON.
 */
import { parseArgs } from 'node:util'
import { runKafkaBench } from '../kafka/main.ts'
import { runRpcBench } from '../rpc/main.ts'
import { openTargets, PEERS } from './brokers.ts'
import type { Endpoint } from '../../src/load/raw-socket.ts'
import { describeCommit, describeMachine, scenarioTable, writeReport, type Run } from './report.ts'
import { SCENARIOS, type Scenario, type Settings } from './scenarios.ts'
import type { Protocol, Target } from './target.ts'

const ALL_PEERS = Object.values(PEERS).flat()

/** Scenarios of Kafka are driven by its own tools and know other options. */
const isKafka = process.argv.slice(2).some((arg) => /^kafka(-|$)/.test(arg))
const isRpc = process.argv[2] === 'rpc'

const USAGE = `npm run bench -- [scenario...] [options]
  --peer NAME            compare with ${ALL_PEERS.join(', ')}, none, or all installed (default);
                         may be given several times
  --target HOST:PORT     load a broker that already runs instead of Waystation
  --target sink          load no broker, to see how much the load program can drive
  --target none          load the peer only
  --seconds N            how long each flow publishes (default 10)
  --rounds N             how often each scenario runs on each target (default 1)
  --backlog N            messages of the backlog (default 10,000,000)
  --peer-backlog N       the same for the peer (default 1,000,000)
  --retained N           topics of the retained set (default 1,000,000)
  --json FILE            where to write the runs (default bench/results/local/DATE-COMMIT.json)
scenarios (calls and Kafka have their own help: npm run bench -- rpc --help, kafka --help):
${SCENARIOS.map(({ name, about }) => `  ${name.padEnd(18)} ${about}`).join('\n')}`

const { values: flags, positionals: names } = parseArgs({
  args: isKafka || isRpc ? [] : process.argv.slice(2),
  allowPositionals: true,
  options: {
    peer: { type: 'string', multiple: true, default: ['all'] },
    target: { type: 'string', default: 'waystation' },
    seconds: { type: 'string', default: '10' },
    rounds: { type: 'string', default: '1' },
    backlog: { type: 'string', default: '10000000' },
    'peer-backlog': { type: 'string', default: '1000000' },
    retained: { type: 'string', default: '1000000' },
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
    retained: positiveNumber('retained', flags.retained),
  }
  const rounds = positiveNumber('rounds', flags.rounds)
  const versions: Record<string, string> = {}
  const head = {
    date: new Date().toISOString(),
    commit: describeCommit(),
    machine: describeMachine(),
    versions,
    settings: { ...settings, rounds },
  }
  const runs: Run[] = []
  for (const protocol of Object.keys(PEERS) as Protocol[]) {
    const spoken = scenarios.filter((scenario) => scenario.protocol === protocol)
    if (spoken.length === 0) continue
    await using resources = disposedOnSignal()
    const own = ownTarget(flags.target)
    const targets = await openTargets({ protocol, own, peers: choosePeers() }, resources)
    for (const { name, server } of targets) versions[name] = server.version
    console.log(head)
    for (const scenario of spoken) {
      console.log(`\n${scenario.name}: ${scenario.about}`)
      const made = await runScenario(scenario, targets, settings, rounds)
      runs.push(...made)
      console.log(scenarioTable(made))
      writeReport(flags.json, { ...head, runs })
    }
  }
  if (runs.some((run) => run.error !== null)) process.exitCode = 1
}

/** Brokers that run must not outlive the bench, however it ends. */
function disposedOnSignal(): AsyncDisposableStack {
  const resources = new AsyncDisposableStack()
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => void resources.disposeAsync().finally(() => process.exit(130)))
  }
  return resources
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
      if (target.name === scenario.without) continue
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

function choosePeers(): readonly string[] {
  const { peer } = flags
  for (const name of peer) {
    if (name !== 'all' && name !== 'none' && !ALL_PEERS.includes(name)) {
      throw new Error(`no peer '${name}'\n${USAGE}`)
    }
  }
  return peer.includes('all') ? ALL_PEERS : peer
}

function ownTarget(text: string): string | Endpoint {
  if (['waystation', 'sink', 'none'].includes(text)) return text
  const [host = '', port = ''] = text.split(':')
  return { host, port: positiveNumber('target', port) }
}

function positiveNumber(name: string, text: string): number {
  const value = Number(text)
  if (!(value > 0)) throw new Error(`--${name}: '${text}' is no positive number`)
  return value
}

try {
  if (isRpc) await runRpcBench(process.argv.slice(3))
  else await (isKafka ? runKafkaBench(process.argv.slice(2)) : main())
} catch (error) {
  console.error((error as Error).message)
  process.exitCode = 2
}
