/** The Dockerfile, where there is no Docker: linted, and what it would run is run here. */
import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { after, test } from 'node:test'
import { DockerfileParser, type Instruction } from 'dockerfile-ast'
import { validate } from 'dockerfile-utils'
import { environmentName } from '../../../src/server/config.ts'
import { allSettings } from '../../../src/server/config-schema.ts'
import { PORTS } from '../../../src/server/protocol-ports.ts'
import { CommandFolder } from '../../support/command.ts'

const ROOT = path.join(import.meta.dirname, '../../..')
const TEXT = readFileSync(path.join(ROOT, 'Dockerfile'), 'utf8')
const MAIN = '/opt/waystation/dist/cli/main.js'
const PASSWORD = 'of-the-image-test'

const folder = new CommandFolder()
after(() => folder[Symbol.dispose]())

const instructions = DockerfileParser.parse(TEXT).getInstructions()
const imageStart = instructions.findLastIndex((one) => one.getKeyword() === 'FROM')

function wordsOf(instruction: Instruction): string[] {
  return instruction.getArguments().map((argument) => argument.getValue())
}

/** What the last stage, which is the image, says by this keyword, as one line. */
function ofImage(keyword: string): string {
  const found = instructions.slice(imageStart).filter((one) => one.getKeyword() === keyword)
  return found.flatMap(wordsOf).join(' ')
}

/** Of an instruction in its form as a list: a shell between would swallow signals. */
function commandOf(text: string): string[] {
  const list = JSON.parse(text.slice(text.indexOf('['))) as string[]
  assert.ok(list.every((one) => typeof one === 'string'))
  return list
}

function imageEnvironment(): Record<string, string> {
  const pairs = ofImage('ENV').split(' ')
  return Object.fromEntries(pairs.map((pair) => pair.split('=') as [string, string]))
}

test('the Dockerfile has no fault, and what it copies is there and sent to the builder', () => {
  assert.deepEqual(
    validate(TEXT).map(({ message }) => message),
    [],
  )
  const sent = readFileSync(path.join(ROOT, '.dockerignore'), 'utf8').split('\n')
  assert.equal(sent[0], '*')
  for (const instruction of instructions.filter((one) => one.getKeyword() === 'COPY')) {
    const sources = wordsOf(instruction).slice(0, -1)
    for (const source of sources.filter((one) => !one.startsWith('/source/'))) {
      assert.ok(existsSync(path.join(ROOT, source)), `${source} is not there`)
      assert.ok(sent.includes(`!${source}`), `.dockerignore does not let ${source} through`)
    }
  }
  const { scripts, devDependencies } = JSON.parse(
    readFileSync(path.join(ROOT, 'package.json'), 'utf8'),
  ) as Record<'scripts' | 'devDependencies', Record<string, string>>
  for (const [, script = ''] of TEXT.matchAll(/npm run ([\w:]+)/g)) assert.ok(scripts[script])
  assert.match(TEXT, new RegExp(`^ARG NODE_VERSION=${devDependencies['node']}$`, 'm'))
})

test('the image is nobody who is root, with settings and ports that there are', () => {
  assert.match(ofImage('USER'), /^[1-9]\d{3,}:[1-9]\d{3,}$/)
  const { WAYSTATION_DATA: data = '', ...others } = imageEnvironment()
  assert.deepEqual(commandOf(ofImage('VOLUME')), [data])
  const known = new Set(allSettings().map((setting) => environmentName(setting.path)))
  const exposed = ofImage('EXPOSE').split(' ')
  const listening: string[] = []
  for (const [name, value] of Object.entries(others)) {
    if (!name.startsWith('WAYSTATION_')) continue
    assert.ok(known.has(name), `${name} is no setting`)
    if (name.startsWith('WAYSTATION_LISTEN_')) listening.push(value.replace('*:', ''))
  }
  assert.deepEqual(listening, exposed)
  const standard = PORTS.filter(({ onByDefault }) => onByDefault)
  assert.deepEqual(
    exposed.map(Number).toSorted((a, b) => a - b),
    standard.map(({ standardPort }) => standardPort).toSorted((a, b) => a - b),
  )
})

test('what the image runs starts with a password only, is healthy, and stops at its signal', async () => {
  const [node, main, ...entry] = commandOf(ofImage('ENTRYPOINT'))
  assert.deepEqual([node, main], ['node', MAIN])
  const start = [...entry, ...commandOf(ofImage('CMD'))]
  const health = commandOf(ofImage('HEALTHCHECK'))
  assert.deepEqual(health.slice(0, 2), ['node', MAIN])
  const environment: Record<string, string> = {}
  for (const [name, value] of Object.entries(imageEnvironment())) {
    environment[name] = value.replace(/^\*:\d+$/, '*:0')
  }
  environment['WAYSTATION_DATA'] = folder.freshDirectory()

  const refused = await folder.run(start, { environment })
  assert.equal(refused.code, 77, refused.stderr)
  assert.match(refused.stderr, /guest/)

  environment['WAYSTATION_DEFAULT_USER_NAME'] = 'app'
  environment['WAYSTATION_DEFAULT_USER_PASSWORD'] = PASSWORD
  await using broker = folder.open(start, { environment })
  await broker.ready()
  const healthy = await folder.run(health.slice(2), { environment })
  assert.equal(healthy.code, 0, healthy.stderr)
  broker.kill(ofImage('STOPSIGNAL') as NodeJS.Signals)
  assert.equal((await broker.ended).code, 0)
  const gone = await folder.run(health.slice(2), { environment })
  assert.equal(gone.code, 69)
})
