/**
 * Durable calls while their caller, their providers and the broker are killed again and again: each
 * call that was accepted ends with exactly one outcome, which never changes, or lies in the dead
 * letters; and nothing is left of it anywhere else.
 */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import amqplib from 'amqplib'
import { connectChannel, createClient, type DurableCall, RpcError } from '../../src/client/index.ts'
import { SeededRandom } from '../../src/lib/random.ts'
import { BrokerProcess } from '../support/broker-process.ts'
import { Jobs, KINDS } from '../support/durable-jobs.ts'

const ROUNDS = Number(process.env['WAYSTATION_KILL_ROUNDS'] ?? 5)
const SEED = Number(process.env['WAYSTATION_KILL_SEED'] ?? 0) * 10 + 7
const JOBS = path.join(import.meta.dirname, '../support/durable-jobs.ts')
const QUEUE = 'rpc.crash.v1.Jobs'
const DEAD = 'rpc-dead.crash.v1.Jobs'
const TRAFFIC_MS_MAX = 200
const WITHIN_MS = 30_000
const VICTIMS = ['broker', 'provider', 'caller', 'broker', 'all'] as const

test(`kill -9 of caller, broker and provider: one outcome for each call, seed ${SEED}`, async (t) => {
  await using rig = await Rig.start()
  const random = new SeededRandom(SEED)
  for (let round = 0; round < ROUNDS; round++) {
    const before = rig.acceptedCount
    await until(() => rig.acceptedCount > before, 'a call is accepted')
    await sleep(random.integer(TRAFFIC_MS_MAX))
    await rig.kill(VICTIMS[(round + random.integer(2)) % VICTIMS.length]!)
  }
  const accepted = await rig.stopCaller()
  await rig.drained()
  const ends = await rig.ends(accepted)
  // What is stored is what is found after one more crash.
  await rig.kill('broker')
  assert.deepEqual(await rig.ends(accepted), ends)
  const counts = { done: 0, refused: 0, dead: 0 }
  for (const [name, end] of ends) {
    const number = Number(name.slice('job-'.length))
    const kind = KINDS[number % KINDS.length]
    const expected = kind === 'doomed' ? 'dead' : kind === 'refused' ? 'refused' : 'done'
    assert.equal(end.how, expected, `${name} of kind ${kind}: ${JSON.stringify(end)}`)
    counts[end.how] += 1
  }
  t.diagnostic(`${ROUNDS} kills, ${accepted.size} accepted, ${JSON.stringify(counts)}`)
  assert.ok(accepted.size > ROUNDS * 5, 'hardly anything was accepted')
  assert.ok(counts.dead > 0 && counts.refused > 0, 'nothing failed')
})

interface End {
  readonly how: 'done' | 'refused' | 'dead'
  readonly what: string
}

async function until(condition: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const endMs = performance.now() + WITHIN_MS
  while (!(await condition())) {
    assert.ok(performance.now() < endMs, `not within ${WITHIN_MS} ms: ${what}`)
    await sleep(10)
  }
}

/** The broker, two providers and a caller, each a process; what the caller was told is kept here. */
class Rig implements AsyncDisposable {
  readonly #broker: BrokerProcess
  #again: BrokerProcess | null = null
  readonly #port: number
  readonly #providers: ChildProcess[] = []
  #caller: ChildProcess | null = null
  readonly #children = new Set<ChildProcess>()
  /** Ids by name. */
  readonly #accepted = new Map<string, string>()
  readonly #ended = new Map<string, string>()
  #lifeCount = 0

  private constructor(broker: BrokerProcess) {
    this.#broker = broker
    this.#port = broker.rpcPort
  }

  static async start(): Promise<Rig> {
    const broker = new BrokerProcess()
    await broker.start()
    const rig = new Rig(broker)
    await rig.#declare()
    await rig.#startProvider(0)
    await rig.#startProvider(1)
    await rig.#startCaller()
    return rig
  }

  get acceptedCount(): number {
    return this.#accepted.size
  }

  async kill(victim: (typeof VICTIMS)[number]): Promise<void> {
    const isAll = victim === 'all'
    const which = this.#lifeCount % 2
    if (isAll || victim === 'caller') await this.#killChild(this.#caller)
    if (isAll || victim === 'provider') await this.#killChild(this.#providers[which]!)
    if (isAll || victim === 'broker') {
      await this.#current.kill()
      const args = ['--listen', `rpc=127.0.0.1:${this.#port}`]
      this.#again = new BrokerProcess({ dataDir: this.#broker.dataDir, args })
      await this.#again.start()
    }
    if (isAll || victim === 'provider') await this.#startProvider(which)
    if ((isAll || victim === 'caller') && this.#caller !== null) await this.#startCaller()
  }

  async stopCaller(): Promise<ReadonlyMap<string, string>> {
    const caller = this.#caller
    this.#caller = null
    await this.#killChild(caller)
    return this.#accepted
  }

  /** Resolves when the queue holds nothing, given out or not. */
  async drained(): Promise<void> {
    await until(async () => {
      const found = await this.#destination(QUEUE)
      return found.ready + found.unsettled + found.held === 0
    }, 'every call has ended and its message is settled')
  }

  /** How each ended, by name; fails where that is not told in exactly one way. */
  async ends(accepted: ReadonlyMap<string, string>): Promise<Map<string, End>> {
    const letters = await this.#deadLetters()
    const channel = connectChannel(`rpc://127.0.0.1:${this.#port}`)
    const ends = new Map<string, End>()
    try {
      const jobs = createClient(Jobs, channel)
      for (const [name, id] of accepted) {
        const call = jobs.run.durableCall(id)
        const state = await call.state({ deadlineMs: WITHIN_MS })
        const copies = letters.filter((letter) => letter === id).length
        assert.equal(copies, state === 'dead' ? 1 : 0, `${name} is ${state}, ${copies} letters`)
        if (state === 'dead') {
          ends.set(name, { how: 'dead', what: '' })
          continue
        }
        assert.equal(state, 'done', `${name} is ${state}`)
        ends.set(name, await endOf(call))
      }
      for (const [name, doneBy] of this.#ended) {
        assert.equal(ends.get(name)!.what, doneBy, `${name} had another outcome before`)
      }
    } finally {
      await channel.close()
    }
    return ends
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const child of this.#children) child.kill('SIGKILL')
    await this.#again?.[Symbol.asyncDispose]()
    await this.#broker[Symbol.asyncDispose]()
  }

  get #current(): BrokerProcess {
    return this.#again ?? this.#broker
  }

  /** An ordinary queue, declared by an operator, with less patience than the usual one. */
  async #declare(): Promise<void> {
    const connection = await amqplib.connect(`amqp://127.0.0.1:${this.#broker.port}`)
    const channel = await connection.createChannel()
    await channel.assertQueue(DEAD)
    await channel.assertQueue(QUEUE, {
      deadLetterExchange: '',
      deadLetterRoutingKey: DEAD,
      arguments: { 'x-retry-delay': 20, 'x-retry-limit': 12, 'x-retry-delay-max': 40 },
    })
    await connection.close()
  }

  async #startProvider(index: number): Promise<void> {
    this.#lifeCount += 1
    this.#providers[index] = await this.#spawn('provide', `life-${this.#lifeCount}`)
  }

  /** Some calls of the life before are made again, under the same keys. */
  async #startCaller(): Promise<void> {
    const first = Math.max(this.#accepted.size - 40, 0)
    this.#caller = await this.#spawn('call', String(first))
  }

  async #spawn(what: string, argument: string): Promise<ChildProcess> {
    const args = [JOBS, what, `rpc://127.0.0.1:${this.#port}`, argument]
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
    this.#children.add(child)
    child.once('exit', () => this.#children.delete(child))
    const lines = createInterface(child.stdout)
    const ready = once(lines, 'line', { signal: AbortSignal.timeout(WITHIN_MS) })
    lines.on('line', (line) => this.#heard(line))
    await ready
    return child
  }

  #heard(line: string): void {
    const [word, name = '', ...rest] = line.split(' ')
    const what = rest.join(' ')
    const known = word === 'accepted' ? this.#accepted : word === 'ended' ? this.#ended : null
    if (known === null) return
    assert.equal(known.get(name) ?? what, what, `${name} was ${word} as two`)
    known.set(name, what)
  }

  async #killChild(child: ChildProcess | null): Promise<void> {
    if (child === null || child.exitCode !== null || child.signalCode !== null) return
    const ended = once(child, 'exit', { signal: AbortSignal.timeout(WITHIN_MS) })
    child.kill('SIGKILL')
    await ended
  }

  async #destination(name: string): Promise<{ ready: number; unsettled: number; held: number }> {
    const url = `http://127.0.0.1:${this.#current.httpPort}/v1/destinations`
    const authorization = `Basic ${Buffer.from('guest:guest').toString('base64')}`
    const response = await fetch(url, { headers: { authorization } })
    const list = (await response.json()) as { name: string }[]
    return list.find((one) => one.name === name) as never
  }

  /** Ids of the calls in the dead letters, which stay there. */
  async #deadLetters(): Promise<string[]> {
    const connection = await amqplib.connect(`amqp://127.0.0.1:${this.#current.port}`)
    const channel = await connection.createChannel()
    const ids: string[] = []
    for (;;) {
      const message = await channel.get(DEAD)
      if (message === false) break
      ids.push(String(message.properties.messageId))
    }
    await connection.close()
    return ids
  }
}

async function endOf(call: DurableCall<{ readonly doneBy: string }>): Promise<End> {
  try {
    const { doneBy } = await call.result({ deadlineMs: WITHIN_MS })
    return { how: 'done', what: doneBy }
  } catch (error) {
    assert.ok(error instanceof RpcError, String(error))
    assert.equal(error.code, 'FAILED_PRECONDITION', error.message)
    return { how: 'refused', what: error.message }
  }
}
