/** Runs every JavaScript example of the pages below against a broker, as a reader would. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { after, test } from 'node:test'

import { closeTarget, openTarget, type Target } from '../../support/target.ts'

const PAGES = [
  'quick-start',
  'delivery',
  'change',
  'key-order',
  'schedule',
  'deduplication',
  'tracing',
  'peak-shaving',
  'filters',
  'rpc',
  'contracts',
  'discovery',
  'durable-calls',
  'message-calls',
].map((page) => `docs/${page}.md`)
const ROOT = new URL('../../../', import.meta.url)
/** The package is not built where tests run. */
const CLIENT = "'./src/client/index.ts'"
const ENDS_WITHIN_MS = 20_000

interface Example {
  readonly title: string
  readonly code: string
}

/** The blocks of a page marked `js`, each under the heading before it. */
function examplesOf(page: string): Example[] {
  const examples: Example[] = []
  let title = ''
  let lines: string[] | null = null
  for (const line of page.split('\n')) {
    if (lines === null && line.startsWith('#')) title = line.replace(/^#+ /, '')
    if (lines !== null && line === '```') {
      examples.push({ title, code: lines.join('\n') })
      lines = null
    } else if (lines !== null) lines.push(line)
    else if (line === '```js') lines = []
  }
  return examples
}

/** Runs a module of its own in the root of the repository; its error output is the message. */
async function run(code: string, { url, process: broker }: Target): Promise<void> {
  const child = spawn(
    process.execPath,
    ['--input-type=module', '--eval', code.replace("'waystation/rpc'", CLIENT)],
    {
      cwd: ROOT,
      env: {
        ...process.env,
        AMQP_URL: url,
        HTTP_URL: `http://127.0.0.1:${broker?.httpPort}`,
        MQTT_URL: `mqtt://127.0.0.1:${broker?.mqttPort}`,
        KAFKA_BROKER: `127.0.0.1:${broker?.kafkaPort}`,
        RPC_URL: `rpc://127.0.0.1:${broker?.rpcPort}`,
      },
      stdio: ['ignore', 'ignore', 'pipe'],
      timeout: ENDS_WITHIN_MS,
    },
  )
  const errors: Buffer[] = []
  child.stderr.on('data', (bytes: Buffer) => errors.push(bytes))
  const code_ = await new Promise((resolve) => child.once('close', resolve))
  assert.equal(code_, 0, Buffer.concat(errors).toString('utf8'))
}

/** All of them before the first test: `after` comes when no test is left, even if more are to be made. */
const pages = await Promise.all(
  PAGES.map(async (page) => {
    return { page, examples: examplesOf(await readFile(new URL(page, ROOT), 'utf8')) }
  }),
)

after(closeTarget)

for (const { page, examples } of pages) {
  test(`${page} has examples`, () => assert.ok(examples.length > 0))
  for (const { title, code } of examples) {
    test(`${page}: ${title}`, async () => run(code, await openTarget()))
  }
}
