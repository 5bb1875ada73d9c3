import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { describe, test } from 'node:test'
import { checkTree } from './rules.ts'
import type { Tree } from './rules.ts'

const ROOT = path.join(import.meta.dirname, '../..')

function listFiles(...flags: string[]): string[] {
  const listing = execFileSync('git', ['ls-files', '-z', ...flags], { cwd: ROOT, encoding: 'utf8' })
  return listing.split('\0').filter((file) => file !== '')
}

/** What git tracks, and what would be tracked if everything were added now. */
function readRepository(): Tree {
  const files = listFiles('--cached', '--others', '--exclude-standard')
  return new Map(files.map((file) => [file, readFileSync(path.join(ROOT, file), 'utf8')]))
}

test('the repository keeps its rules', () => {
  const tree = readRepository()
  const tracked = listFiles()
  // A checker that reads nothing passes.
  assert.ok(tracked.length > 10, `git tracks ${tracked.length} files, which cannot be all`)
  const unread = tracked.filter((file) => !tree.has(file))
  assert.deepEqual(unread, [], 'every tracked file must be read')
  const faults = checkTree(tree)
  assert.equal(faults.length, 0, `${faults.length} faults\n${faults.join('\n')}`)
})

/** A small repository without a fault; each planted fault below is laid over it. */
const SOUND: Readonly<Record<string, string>> = {
  'README.md': '# x\n',
  'src/lib/clock.ts': 'export const now = (): number => Date.now()\n',
  'src/model/name.ts': "import { now } from '../lib/clock.ts'\nexport const at: number = now()\n",
  'src/model/name.test.ts': "import { at } from './name.ts'\nvoid at\n",
  'src/engine/contract.ts': 'export interface Engine {\n  readonly kind: string\n}\n',
  'src/broker/broker.ts':
    "import type { Engine } from '../engine/contract.ts'\nimport { at } from '../model/name.ts'\n" +
    'export const b = (e: Engine): string => e.kind + at\n',
  'src/broker/broker.test.ts':
    "import { setTimeout } from 'node:timers/promises'\nimport { b } from './broker.ts'\n" +
    'await setTimeout(b ? 0 : 1)\n',
  'src/storage/file-disk.ts':
    "import { open } from 'node:fs/promises'\nexport const o: typeof open = open\n",
  'src/codec/amqp/frame.ts': 'export const frame: number = 1\n',
  'src/codec/mqtt/packet.ts': 'export const packet: number = 1\n',
  'src/protocols/amqp/connection.ts':
    "import { frame } from '../../codec/amqp/frame.ts'\nexport const f: number = frame\n",
  'src/cli/main.ts': "import { name } from '../server/run.ts'\nvoid name\n",
  'src/server/run.ts':
    "import { o } from '../storage/file-disk.ts'\n" +
    "import { f } from '../protocols/amqp/connection.ts'\n" +
    "import { packet } from '../codec/mqtt/packet.ts'\n" +
    'export const name: string = `${String(o)}${f}${packet}`\nsetTimeout(() => name, 1)\n',
  'test/suites/start.test.ts': "const main = 'src/cli/main.ts'\nvoid main\n",
}

function faultsWith(changes: Readonly<Record<string, string>>): string[] {
  return checkTree(new Map(Object.entries({ ...SOUND, ...changes })))
}

/** Adds a line to a sound file, so that only that line can be at fault. */
function plus(file: string, line: string): Record<string, string> {
  return { [file]: `${SOUND[file] ?? ''}${line}\n` }
}

const WORK = ['', 'work', 'main'].join('/')
const REGISTRY = ['registry', 'npmjs', 'org'].join('.')

const PLANTED: readonly (readonly [string, Record<string, string>, RegExp])[] = [
  [
    'model knows storage',
    plus('src/model/name.ts', "import '../storage/file-disk.ts'"),
    /model may not import storage/,
  ],
  [
    'a type counts as knowing',
    plus('src/model/name.ts', "export type { E } from '../engine/contract.ts'"),
    /model may not import engine/,
  ],
  [
    'an import type counts as knowing',
    plus('src/model/name.ts', "export type E = import('../engine/contract.ts').Engine"),
    /model may not import engine/,
  ],
  [
    'a late import counts as knowing',
    plus('src/model/name.ts', "await import('../cli/main.ts')"),
    /model may not import cli/,
  ],
  [
    'codec knows codec',
    plus('src/codec/amqp/frame.ts', "import '../mqtt/packet.ts'"),
    /codec\/amqp may not import codec\/mqtt/,
  ],
  [
    'protocol knows another codec',
    plus('src/protocols/amqp/connection.ts', "import '../../codec/mqtt/packet.ts'"),
    /protocols may not import codec\/mqtt/,
  ],
  [
    'protocol knows protocol',
    {
      'src/protocols/mqtt/connection.ts': "import '../amqp/connection.ts'\n",
      'src/protocols/mqtt/connection.test.ts': "import './connection.ts'\n",
    },
    /protocols\/mqtt may not import protocols\/amqp/,
  ],
  [
    'broker knows an engine',
    {
      'src/engine/embedded/engine.ts': 'export const e: number = 1\n',
      ...plus('src/broker/broker.ts', "import '../engine/embedded/engine.ts'"),
    },
    /broker may not import engine\/embedded/,
  ],
  [
    'the contract knows an engine',
    {
      'src/engine/embedded/engine.ts': 'export const e: number = 1\n',
      ...plus('src/engine/contract.ts', "export type { e } from './embedded/engine.ts'"),
    },
    /may not import engine\/embedded/,
  ],
  [
    'server knows cli',
    plus('src/server/run.ts', "import '../cli/main.ts'"),
    /server may not import cli/,
  ],
  [
    'source knows a tool',
    { 'tools/x.ts': 'void 0\n', ...plus('src/server/run.ts', "import '../../tools/x.ts'") },
    /src\/ may not import tools/,
  ],
  [
    'source knows a test',
    plus('src/broker/broker.ts', "import '../model/name.test.ts'"),
    /a test is imported/,
  ],
  [
    'an unknown folder',
    {
      'src/extra/x.ts': 'export const x: number = 1\n',
      'src/extra/x.test.ts': "import './x.ts'\n",
    },
    /src\/extra is not in the layer table/,
  ],
  [
    'broker uses a package',
    plus('src/broker/broker.ts', "import 'lodash'"),
    /broker may not import the package lodash/,
  ],
  [
    'an import of nothing',
    plus('src/broker/broker.ts', "import './absent.ts'"),
    /imports \.\/absent\.ts, which is no tracked file/,
  ],
  ['Date.now', plus('src/broker/broker.ts', 'Date.now()'), /broker\.ts:4 uses Date\.now/],
  [
    'Date.now by another spelling',
    plus('src/broker/broker.ts', "globalThis.Date['now']()"),
    /uses Date\.now/,
  ],
  ['a new Date of now', plus('src/broker/broker.ts', 'new Date()'), /uses new Date\(\)/],
  ['performance', plus('src/broker/broker.ts', 'performance.now()'), /uses performance/],
  ['hrtime', plus('src/broker/broker.ts', 'process.hrtime.bigint()'), /uses process\.hrtime/],
  ['setTimeout', plus('src/broker/broker.ts', 'setTimeout(() => 1, 1)'), /uses setTimeout/],
  [
    'setInterval',
    plus('src/broker/broker.ts', 'globalThis.setInterval(() => 1, 1)'),
    /uses setInterval/,
  ],
  [
    'setImmediate handed on',
    plus('src/broker/broker.ts', 'export const later: object = { setImmediate }'),
    /uses setImmediate/,
  ],
  [
    'AbortSignal.timeout',
    plus('src/broker/broker.ts', 'AbortSignal.timeout(1)'),
    /uses AbortSignal\.timeout/,
  ],
  ['Math.random', plus('src/broker/broker.ts', 'Math.random()'), /uses Math\.random/],
  [
    'crypto chance',
    plus('src/broker/broker.ts', "import { randomBytes } from 'node:crypto'"),
    /uses crypto\.randomBytes/,
  ],
  ['require', plus('src/broker/broker.ts', "require('x')"), /uses require/],
  ...['fs', 'fs/promises', 'net', 'tls', 'http', 'perf_hooks', 'timers/promises'].map(
    (name) =>
      [
        `node:${name}`,
        plus('src/broker/broker.ts', `import 'node:${name}'`),
        /imports node:.* belongs to/,
      ] as const,
  ),
  [
    'fs in storage outside the disk file',
    {
      'src/storage/log.ts': "import 'node:fs'\n",
      'src/storage/log.test.ts': "import './log.ts'\n",
    },
    /storage\/log\.ts:1 imports node:fs/,
  ],
  [
    'net in the disk file',
    plus('src/storage/file-disk.ts', "import 'node:net'"),
    /imports node:net/,
  ],
  [
    'a long file',
    { 'src/model/name.ts': 'export const at: number = 1\n'.padEnd(1028, '\n') },
    /name\.ts has 1001 lines, limit is 1000/,
  ],
  [
    'a camel-case file',
    { 'src/model/aName.ts': 'export interface A {}\n' },
    /aName\.ts is not named in kebab-case/,
  ],
  ['a snake-case folder', { 'src/model/a_b/x.ts': 'export interface A {}\n' }, /kebab-case/],
  [
    'a file of nothing in particular',
    { 'src/model/utils.ts': 'export interface A {}\n' },
    /named 'utils'/,
  ],
  [
    'a folder of nothing in particular',
    { 'src/model/common/x.ts': 'export interface A {}\n' },
    /named 'common'/,
  ],
  [
    'export *',
    plus('src/model/name.ts', "export * from '../lib/clock.ts'"),
    /name\.ts:3 has export \*/,
  ],
  ['a default export', plus('src/model/name.ts', 'export default at'), /has export default/],
  [
    'a source no test loads',
    { 'src/broker/lost.ts': 'export const lost: number = 1\n' },
    /lost\.ts is loaded by no test/,
  ],
  [
    'a source loaded for its types only',
    {
      'src/broker/lost.ts': 'export const lost: number = 1\n',
      ...plus('src/broker/broker.test.ts', "import type { lost } from './lost.ts'"),
    },
    /lost\.ts is loaded by no test/,
  ],
  [
    'a source named in a comment only',
    {
      'src/broker/lost.ts': 'export const lost: number = 1\n',
      ...plus('src/broker/broker.test.ts', "// import './lost.ts'"),
    },
    /lost\.ts is loaded by no test/,
  ],
  [
    'a link to nothing',
    plus('README.md', 'see [x](docs/x.md#y)'),
    /README\.md:2 links to docs\/x\.md/,
  ],
  ['a test beside every runner', { 'test/extra/x.test.ts': 'void 0\n' }, /that no runner runs/],
  [
    'a generated file without its command',
    { 'src/model/codes.gen.ts': 'export interface A {}\n' },
    /does not name the command/,
  ],
  [
    'a path of one machine',
    plus('README.md', `see ${WORK}/x`),
    /README\.md:2 names a path of one machine/,
  ],
  [
    'a registry',
    { 'package-lock.json': `{"resolved": "https://${REGISTRY}/x"}\n` },
    /package-lock\.json:1 names a package registry/,
  ],
]

describe('the rules find what they are for', () => {
  test('a sound tree has no fault', () => {
    assert.deepEqual(faultsWith({}), [])
  })

  for (const [name, changes, expected] of PLANTED) {
    test(name, () => {
      const faults = faultsWith(changes)
      assert.ok(
        faults.some((fault) => expected.test(fault)),
        `expected ${expected}, got: ${faults.join('\n') || 'no fault'}`,
      )
    })
  }

  test('a file that does not parse is refused', () => {
    assert.throws(() => faultsWith({ 'src/model/name.ts': 'export const' }), /does not parse/)
  })
})

describe('the rules leave alone what is allowed', () => {
  const allowed: readonly (readonly [string, Record<string, string>])[] = [
    [
      'a clock that was handed in',
      plus(
        'src/broker/broker.ts',
        'export const t = (c: { setTimeout(): void }): void => c.setTimeout()',
      ),
    ],
    [
      'banned words in comments and strings',
      plus(
        'src/broker/broker.ts',
        "// Date.now(), import 'node:fs'\nexport const s: string = 'Math.random()'",
      ),
    ],
    ['a Date of a given time', plus('src/broker/broker.ts', 'export const d: Date = new Date(5)')],
    [
      'a long generated file',
      {
        'src/model/codes.gen.ts': `// npm run generate\nexport interface A {}${'\n'.repeat(2000)}`,
      },
    ],
    [
      'salts in auth',
      {
        'src/auth/salt.ts': "import { randomBytes } from 'node:crypto'\nvoid randomBytes\n",
        'src/auth/salt.test.ts': "import './salt.ts'\n",
      },
    ],
    [
      'a child process named by URL',
      {
        'src/server/child.ts': 'void 0\n',
        'test/suites/child.test.ts': "void new URL('../../src/server/child.ts', import.meta.url)\n",
      },
    ],
    [
      'links to what is there',
      { 'docs/x.md': '[a](../src/lib/) [b](../README.md#x) [c](#y) [d](https://example.org/z)\n' },
    ],
    ['a class name in Java', { 'test/interop/java/AmqpCheck.java': 'class AmqpCheck {}\n' }],
  ]
  for (const [name, changes] of allowed) {
    test(name, () => {
      assert.deepEqual(faultsWith(changes), [])
    })
  }
})
