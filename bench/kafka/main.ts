/**
 * The Kafka benchmark: `npm run bench -- kafka-... [options]`.
 *
 * Runs Waystation and a real Kafka, as it comes and with a flush behind every write, each in a
 * process of its own, and drives them in turn with Kafka's own performance tools.
 */
import { parseArgs } from 'node:util'
import {
  describeCommit,
  describeMachine,
  scenarioTable,
  writeReport,
  type Run,
} from '../load/report.ts'
import { ApacheBroker, WaystationBroker, type KafkaBroker } from './broker.ts'
import { KAFKA_SCENARIOS, type KafkaScenario, type KafkaSettings } from './scenarios.ts'

const USAGE = `npm run bench -- kafka-... [options]
  --peer all|kafka|none  compare with the Kafka that tools/kafka.sh installed, as it comes and
                         with a flush behind every write (default), or only as it comes
  --target waystation|none
                         none: load the peer only
  --rounds N             how often each scenario runs on each target (default 3)
  --megabytes N          record values in a throughput run (default 400)
  --seconds N            how long the run at a fixed rate takes (default 30)
  --json FILE            where to write the runs (default bench/results/local/DATE-COMMIT.json)
scenarios (kafka: all of them):
${KAFKA_SCENARIOS.map(({ name, about }) => `  ${name.padEnd(16)} ${about}`).join('\n')}`

export async function runKafkaBench(args: readonly string[]): Promise<void> {
  const { values: flags, positionals: names } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      peer: { type: 'string', default: 'all' },
      target: { type: 'string', default: 'waystation' },
      rounds: { type: 'string', default: '3' },
      megabytes: { type: 'string', default: '400' },
      seconds: { type: 'string', default: '30' },
      json: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  })
  if (flags.help) {
    console.log(USAGE)
    return
  }
  if (!['all', 'kafka', 'none'].includes(flags.peer)) throw new Error(USAGE)
  const scenarios = chooseScenarios(names)
  const rounds = positiveNumber('rounds', flags.rounds)
  const settings: KafkaSettings = {
    megabytes: positiveNumber('megabytes', flags.megabytes),
    seconds: positiveNumber('seconds', flags.seconds),
  }
  await using resources = new AsyncDisposableStack()
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => void resources.disposeAsync().finally(() => process.exit(130)))
  }
  const version = flags.peer === 'none' ? null : await ApacheBroker.version()
  if (version === null) console.log('no Kafka to compare with (tools/kafka.sh install)')
  const wanted = { own: flags.target !== 'none', version, flushing: flags.peer === 'all' }
  const brokers = await openBrokers(resources, wanted)
  const head = {
    date: new Date().toISOString(),
    commit: describeCommit(),
    machine: describeMachine(),
    versions: { kafka: version ?? 'none' },
    settings: { ...settings, rounds },
  }
  console.log(head)
  const runs: Run[] = []
  for (const scenario of scenarios) {
    console.log(`\n${scenario.name}: ${scenario.about}`)
    const own = await runScenario(scenario, brokers, settings, rounds)
    runs.push(...own)
    console.log(scenarioTable(own))
    writeReport(flags.json, { ...head, runs })
  }
  if (runs.some((run) => run.error !== null)) process.exitCode = 1
}

function chooseScenarios(names: readonly string[]): readonly KafkaScenario[] {
  if (names.includes('kafka')) return KAFKA_SCENARIOS
  return names.map((name) => {
    const scenario = KAFKA_SCENARIOS.find((candidate) => candidate.name === name)
    if (scenario === undefined) throw new Error(`no scenario '${name}'\n${USAGE}`)
    return scenario
  })
}

async function openBrokers(
  resources: AsyncDisposableStack,
  {
    own,
    version,
    flushing,
  }: { readonly own: boolean; readonly version: string | null; readonly flushing: boolean },
): Promise<KafkaBroker[]> {
  const brokers: KafkaBroker[] = []
  if (own) brokers.push(await WaystationBroker.open())
  if (version !== null) brokers.push(await ApacheBroker.open('kafka', []))
  if (version !== null && flushing) {
    brokers.push(await ApacheBroker.open('kafka flushing', ['log.flush.interval.messages=1']))
  }
  for (const broker of brokers) {
    resources.use(broker)
    await broker.start()
  }
  return brokers
}

/** Rounds outside, brokers inside: what disturbs the machine disturbs all of them. */
async function runScenario(
  scenario: KafkaScenario,
  brokers: readonly KafkaBroker[],
  settings: KafkaSettings,
  rounds: number,
): Promise<Run[]> {
  const runs: Run[] = []
  for (let round = 1; round <= rounds; round++) {
    for (const broker of brokers) {
      const run = { scenario: scenario.name, target: broker.name, round }
      try {
        runs.push({ ...run, error: null, metrics: await scenario.run(broker, settings) })
      } catch (error) {
        runs.push({ ...run, error: (error as Error).message, metrics: {} })
        console.error(broker.logTail())
      }
    }
  }
  return runs
}

function positiveNumber(name: string, text: string): number {
  const value = Number(text)
  if (!(value > 0)) throw new Error(`--${name}: '${text}' is no positive number`)
  return value
}
