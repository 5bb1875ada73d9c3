import { nowMs, sleep } from '../clock.ts'
import { inParallel } from '../in-parallel.ts'
import type { Endpoint } from '../raw-socket.ts'
import { Sampler, type Sample } from '../sampler.ts'
import { MqttClient } from './client.ts'
import { type MqttLatencies, MqttPublisher } from './publisher.ts'
import { MqttSubscriber } from './subscriber.ts'
import type { Qos, Version } from './wire.ts'

export interface MqttLoadSpec extends Endpoint {
  readonly role: 'mqtt-load'
  readonly version: Version
  readonly qos: Qos
  /** Each has a connection and a topic of its own; all subscribers get them all. */
  readonly publishers: number
  readonly subscribers: number
  /** The sessions of the subscribers outlive their connections. */
  readonly keepsSessions: boolean
  readonly bodyBytes: number
  /** Messages of one publisher that may be under way at once. */
  readonly window: number
  /** Ends after this many messages of each publisher or seconds, whichever comes first. */
  readonly count: number
  readonly seconds: number
  /** Begins every topic. Default `bench/flow`. */
  readonly topic?: string
  /** Default: nobody measures them. */
  readonly latencies?: MqttLatencies
}

export interface MqttLoadResult {
  readonly published: number
  readonly acknowledged: number
  readonly consumed: number
  readonly redelivered: number
  readonly startMs: number
  /** Of the last publish. */
  readonly endMs: number
  readonly samples: readonly Sample[]
}

const STALL_MS = 30_000
/** Time for a message too many to show up. */
const EXTRA_WAIT_MS = 100
const BUFFER_BYTES = 1 << 20
/** Where there are a thousand connections. */
const SMALL_BUFFER_BYTES = 64 << 10
const TOPIC_DEFAULT = 'bench/flow'

/**
 * Publishers and subscribers in one process: a publisher goes on when its messages came, so that
 * a broker is never asked to drop one, and what it has under way is exactly the window.
 */
export class MqttLoad {
  readonly #spec: MqttLoadSpec
  readonly #publishers: MqttPublisher[] = []
  readonly #subscribers: MqttSubscriber[] = []
  readonly #clients: MqttClient[] = []
  readonly #sampler = new Sampler()
  #touched: MqttPublisher[] = []
  #isStopping = false
  #endMs = 0
  #consumed = 0
  #published = 0
  #failure: Error | null = null
  #finish: () => void = () => {}
  #fail: (error: Error) => void = () => {}

  private constructor(spec: MqttLoadSpec) {
    this.#spec = spec
  }

  static async open(spec: MqttLoadSpec): Promise<MqttLoad> {
    const load = new MqttLoad(spec)
    await load.#openSubscribers()
    await load.#openPublishers()
    return load
  }

  get published(): number {
    return this.#published
  }

  get consumed(): number {
    return this.#consumed
  }

  /** Publishes no more: `run` resolves when all that was is acknowledged and consumed. */
  stop(): void {
    this.#stop()
  }

  /** Publishes until count or time is up and all is acknowledged and consumed. */
  async run(): Promise<MqttLoadResult> {
    const startMs = nowMs()
    this.#sampler.start(() => this.#consumed)
    const timer = setTimeout(() => this.#stop(), this.#spec.seconds * 1000)
    const stalled = this.#watchStall()
    try {
      await new Promise<void>((resolve, reject) => {
        this.#finish = resolve
        this.#fail = reject
        if (this.#failure !== null) reject(this.#failure)
        for (const publisher of this.#publishers) this.#proceed(publisher)
      })
      await sleep(EXTRA_WAIT_MS)
      if (this.#failure !== null) throw this.#failure
    } catch (error) {
      for (const { socket } of this.#clients) socket.destroy()
      throw error
    } finally {
      clearTimeout(timer)
      clearInterval(stalled)
      this.#sampler.stop()
    }
    await this.#close()
    return {
      published: sum(this.#publishers.map(({ published }) => published)),
      acknowledged: sum(this.#publishers.map(({ acknowledged }) => acknowledged)),
      consumed: sum(this.#subscribers.map(({ consumed }) => consumed)),
      redelivered: sum(this.#subscribers.map(({ redelivered }) => redelivered)),
      startMs,
      endMs: this.#endMs,
      samples: this.#sampler.samples,
    }
  }

  async #openSubscribers(): Promise<void> {
    const { subscribers, publishers, qos, topic = TOPIC_DEFAULT } = this.#spec
    const arrivals = {
      arrived: (publisher: number, sequence: number): void => {
        this.#consumed++
        this.#publishers[publisher]?.arrived(sequence)
      },
      settle: () => this.#settle(),
    }
    await inParallel(subscribers, async (index) => {
      const client = await this.#open(`sub-${index}`, subscribers)
      await client.subscribe([publishers === 1 ? topic : `${topic}/+`], qos)
      this.#subscribers.push(new MqttSubscriber(client, publishers, arrivals))
    })
  }

  async #openPublishers(): Promise<void> {
    const { publishers, qos, bodyBytes, window, subscribers, latencies } = this.#spec
    const { topic: prefix = TOPIC_DEFAULT } = this.#spec
    const events = {
      touch: (publisher: MqttPublisher): void => {
        publisher.isTouched = true
        this.#touched.push(publisher)
      },
      settle: () => this.#settle(),
    }
    await inParallel(publishers, async (index) => {
      const client = await this.#open(`pub-${index}`, publishers)
      const topic = publishers === 1 ? prefix : `${prefix}/${index}`
      const spec = { index, topic, qos, bodyBytes, window, copies: subscribers, latencies }
      this.#publishers[index] = new MqttPublisher(client, spec, events)
    })
  }

  async #open(clientId: string, count: number): Promise<MqttClient> {
    const { keepsSessions, version, user, password } = this.#spec
    const isKept = keepsSessions && clientId.startsWith('sub')
    const login = user === undefined ? {} : { user, password }
    const connect = { clientId: this.#id(clientId), version, keepAliveSeconds: 0, ...login }
    const readBufferBytes = count > 10 ? SMALL_BUFFER_BYTES : BUFFER_BYTES
    const options = { readBufferBytes }
    // A kept session that a former run left behind would start with its messages.
    if (isKept) await this.#forget(connect)
    const client = await MqttClient.open(this.#spec, { ...connect, clean: !isKept }, options)
    client.onError = (error) => {
      this.#failure ??= error
      this.#fail(error)
    }
    this.#clients.push(client)
    return client
  }

  /** Of other topics, two runs at once do not take each other's clients over. */
  #id(role: string): string {
    return `${(this.#spec.topic ?? TOPIC_DEFAULT).replaceAll('/', '-')}-${role}`
  }

  async #forget(connect: { readonly clientId: string; readonly version: Version }): Promise<void> {
    const options = { ...connect, clean: true, keepAliveSeconds: 0 }
    const client = await MqttClient.open(this.#spec, options)
    await client.close()
  }

  /** Lets those publishers go on whose messages are done. */
  #settle(): void {
    const touched = this.#touched
    if (touched.length === 0) return
    this.#touched = []
    for (const publisher of touched) {
      publisher.isTouched = false
      if (!this.#isStopping) this.#proceed(publisher)
    }
    if (this.#isStopping) this.#finishIfDone()
  }

  #proceed(publisher: MqttPublisher): void {
    const { count, publishers } = this.#spec
    this.#published += publisher.proceed(count)
    if (this.#published === count * publishers) this.#stop()
  }

  #stop(): void {
    if (this.#isStopping) return
    this.#isStopping = true
    this.#endMs = nowMs()
    this.#finishIfDone()
  }

  #finishIfDone(): void {
    if (this.#publishers.every(({ underWay }) => underWay === 0)) this.#finish()
  }

  #watchStall(): NodeJS.Timeout {
    let seen = -1
    return setInterval(() => {
      if (this.#consumed === seen) {
        const missing = sum(this.#publishers.map(({ underWay }) => underWay))
        this.#fail(new Error(`nothing for ${STALL_MS} ms, ${missing} under way`))
      }
      seen = this.#consumed
    }, STALL_MS)
  }

  async #close(): Promise<void> {
    const { keepsSessions, version, subscribers } = this.#spec
    await Promise.all(this.#clients.map((client) => client.close()))
    if (!keepsSessions) return
    await inParallel(subscribers, (index) =>
      this.#forget({ clientId: this.#id(`sub-${index}`), version }),
    )
  }
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0)
}
