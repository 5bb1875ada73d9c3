/**
 * The conformance suite of Connect, against a provider of ours that listens, one behind the broker,
 * and our client. `WAYSTATION_CONFORMANCE=all` runs every permutation, in a minute or two.
 */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, type TestContext, test } from 'node:test'
import { BrokerProcess } from '../support/broker-process.ts'
import { cacheFolder } from './driver.ts'

const WITHIN_MS = 400_000
const OUTPUT_CHARS_SHOWN = 6000
const isAll = process.env['WAYSTATION_CONFORMANCE'] === 'all'

const RUNNER = path.join(cacheFolder('go'), 'tools/connectconformance')
const DESCRIPTORS = path.join(cacheFolder('go'), 'conformance.binpb')

const folder = mkdtempSync(path.join(tmpdir(), 'waystation-conformance-'))
after(() => rmSync(folder, { recursive: true }))

interface Suite {
  readonly mode: 'server' | 'client'
  readonly program: readonly string[]
  /** The program is given the port of a broker. */
  readonly isBrokered?: boolean
  readonly features: Readonly<Record<string, unknown>>
  /** Patterns of cases that must fail, each with the reason. */
  readonly failing?: Readonly<Record<string, string>>
  /** Patterns of cases that may fail, each with the reason. */
  readonly flaky?: Readonly<Record<string, string>>
  readonly casesMin: number
}

const COMPRESSIONS = ['IDENTITY', 'GZIP', ...(isAll ? ['BR', 'ZSTD', 'DEFLATE'] : [])].map(
  (name) => `COMPRESSION_${name}`,
)

/** Of a broker and of a provider that listens, which has one before its handlers. */
const OF_RELAYS = {
  'Timeouts/**':
    'where the relay sees the deadline first, its error has a detail that says how far the call got',
}

const SUITES: Readonly<Record<string, Suite>> = {
  'a provider that listens': {
    mode: 'server',
    program: ['server.ts', 'direct'],
    features: {
      compressions: COMPRESSIONS,
      supports_tls: isAll,
      supports_half_duplex_bidi_over_http1: true,
    },
    flaky: OF_RELAYS,
    casesMin: 1900,
  },
  'a provider behind the broker': {
    mode: 'server',
    program: ['server.ts'],
    isBrokered: true,
    features: {
      compressions: isAll ? COMPRESSIONS : ['COMPRESSION_IDENTITY'],
      ...(isAll ? {} : { codecs: ['CODEC_PROTO'] }),
      // TLS is the listener's, and the first suite tries that.
      supports_tls: false,
      supports_half_duplex_bidi_over_http1: true,
      // A broker's limit holds for answers too, and those of the suite are larger than its requests.
      supports_message_receive_limit: false,
    },
    failing: {
      '**/unexpected-uri':
        'of a service that nobody provides a broker says UNAVAILABLE, since a provider may come',
    },
    flaky: OF_RELAYS,
    casesMin: 400,
  },
  'our client': {
    mode: 'client',
    program: ['client.ts'],
    features: {
      // It speaks gRPC to servers of others, and writes messages in the form of its contract.
      versions: ['HTTP_VERSION_2'],
      protocols: ['PROTOCOL_GRPC'],
      codecs: ['CODEC_PROTO'],
      compressions: COMPRESSIONS,
      supports_tls_client_certs: true,
    },
    casesMin: 600,
  },
}

for (const [name, suite] of Object.entries(SUITES)) {
  test(`Connect conformance: ${name}`, { timeout: WITHIN_MS }, async (context) => {
    await runSuite(context, name, suite)
  })
}

async function runSuite(context: TestContext, name: string, suite: Suite): Promise<void> {
  const missing = [RUNNER, DESCRIPTORS].find((file) => !existsSync(file))
  if (missing !== undefined) {
    context.skip(`the runner is absent: no ${missing} (test/interop/setup.sh fetches it)`)
    return
  }
  const config = path.join(folder, `${name.replaceAll(' ', '-')}.yaml`)
  // JSON is YAML.
  writeFileSync(config, JSON.stringify({ features: suite.features }))
  const patterns = (flag: string, list: Readonly<Record<string, string>> = {}): string[] =>
    Object.keys(list).flatMap((pattern) => [flag, pattern])
  const [file = '', ...rest] = suite.program
  await using broker = suite.isBrokered === true ? new BrokerProcess() : null
  await broker?.start()
  if (broker !== null) rest.push(String(broker.rpcPort))
  const args = [
    ...['--mode', suite.mode, '--conf', config],
    // Several at once start too slowly on a small machine: the runner gives each a few seconds.
    ...['--max-servers', '1'],
    ...patterns('--known-failing', suite.failing),
    ...patterns('--known-flaky', suite.flaky),
    ...['--', process.execPath, path.join(import.meta.dirname, 'conformance', file), ...rest],
  ]
  const { output, status } = await run(args)
  const [, passed = '0', failed = ''] = /(\d+) passed, (\d+) failed/.exec(output) ?? []
  const end = output.slice(-OUTPUT_CHARS_SHOWN)
  assert.equal(failed, '0', end)
  assert.ok(Number(passed) >= suite.casesMin, `only ${passed} cases; ${end}`)
  assert.equal(status, 0, end)
}

async function run(args: readonly string[]): Promise<{ output: string; status: number | null }> {
  const child = spawn(RUNNER, [...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, WAYSTATION_CONFORMANCE_DESCRIPTORS: DESCRIPTORS },
    timeout: WITHIN_MS,
  })
  let output = ''
  const collect = (chunk: Buffer): void => {
    output += chunk.toString()
  }
  child.stdout.on('data', collect)
  child.stderr.on('data', collect)
  const ended = once(child, 'close') as Promise<[number | null]>
  const [status] = await ended
  return { output, status }
}
