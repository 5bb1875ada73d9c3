/**
 * Clients of somebody else's library publish and consume with QoS 1 and 2 through sessions that
 * outlive their connections, while the broker is killed again and again: nothing acknowledged is
 * lost, and nothing of QoS 2 comes twice.
 */
import assert from 'node:assert/strict'
import { connect } from 'node:net'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { type IClientOptions, MqttClient } from 'mqtt'
import { SeededRandom } from '../../src/lib/random.ts'
import { BrokerProcess } from '../support/broker-process.ts'

const ROUNDS = Number(process.env['WAYSTATION_KILL_ROUNDS'] ?? 26)
const SEED = Number(process.env['WAYSTATION_KILL_SEED'] ?? 0) * 10 + 1
const TRAFFIC_MS_MAX = 150
const IN_FLIGHT_MAX = 30
const SETTLED_WITHIN_MS = 20_000

/** Declares the tests of one file: of one version, so that every core has some. */
export function testMqttKills(protocolVersion: Mode['protocolVersion']): void {
  for (const qos of [1, 2] as const) {
    const what = `MQTT ${protocolVersion === 5 ? '5.0' : '3.1.1'}, QoS ${qos}`
    test(`kill -9 loses nothing acknowledged: ${what}, seed ${SEED}`, async (t) => {
      const run = new Run({ protocolVersion, qos })
      const report = await run.run(new SeededRandom(SEED + qos * 7 + protocolVersion))
      t.diagnostic(`${ROUNDS} kills, ${report.acknowledged} acknowledged, ${report.again} twice`)
      assert.ok(report.acknowledged > ROUNDS, 'hardly anything was acknowledged')
    })
  }
}

interface Mode {
  readonly protocolVersion: 4 | 5
  readonly qos: 1 | 2
}

class Run {
  readonly #mode: Mode
  readonly #acknowledged: Set<string> = new Set()
  readonly #received: Map<string, number> = new Map()
  #sent = 0
  #givenUp = 0

  constructor(mode: Mode) {
    this.#mode = mode
  }

  async run(random: SeededRandom): Promise<{ acknowledged: number; again: number }> {
    await using broker = new BrokerProcess({ args: ['--listen', 'http=off'] })
    await broker.start()
    const address = { port: broker.mqttPort }
    const subscriber = await this.#connect('subscriber', address)
    subscriber.on('message', (_topic, payload) => {
      const body = payload.toString()
      this.#received.set(body, (this.#received.get(body) ?? 0) + 1)
    })
    await subscriber.subscribeAsync('kill/+', { qos: this.#mode.qos })
    const publisher = await this.#connect('publisher', address)
    try {
      return await this.#rounds(broker, address, { publisher, random })
    } finally {
      await Promise.all([publisher.endAsync(true), subscriber.endAsync(true)])
    }
  }

  async #rounds(
    broker: BrokerProcess,
    address: { port: number },
    { publisher, random }: { readonly publisher: MqttClient; readonly random: SeededRandom },
  ): Promise<{ acknowledged: number; again: number }> {
    for (let round = 0; round < ROUNDS; round++) {
      const until = performance.now() + random.integer(TRAFFIC_MS_MAX)
      while (performance.now() < until) {
        // The client sends again one by one what was under way: few, so that it is done in time.
        while (this.#underWay < IN_FLIGHT_MAX) this.#publish(publisher)
        await sleep(1)
      }
      await broker.kill()
      await broker.start()
      address.port = broker.mqttPort
    }
    await this.#settled()
    const again = this.#check()
    return { acknowledged: this.#acknowledged.size, again }
  }

  /** Its stores live on in this process, as a client's that keeps them on disk would. */
  async #connect(clientId: string, address: { readonly port: number }): Promise<MqttClient> {
    const { protocolVersion } = this.#mode
    const options: IClientOptions = {
      clientId,
      protocolVersion,
      clean: false,
      reconnectPeriod: 20,
      connectTimeout: 5_000,
      resubscribe: false,
      ...(protocolVersion === 5 ? { properties: { sessionExpiryInterval: 3_600 } } : {}),
    }
    // The broker has another port after each start.
    const client = new MqttClient(() => connect(address.port, '127.0.0.1'), options)
    client.on('error', () => {
      // The broker is killed on purpose; the client comes back by itself.
    })
    await new Promise<void>((resolve) => {
      client.once('connect', () => resolve())
    })
    return client
  }

  get #underWay(): number {
    return this.#sent - this.#acknowledged.size - this.#givenUp
  }

  #publish(publisher: MqttClient): void {
    const body = `m${this.#sent++}`
    publisher.publish(`kill/${this.#sent % 7}`, body, { qos: this.#mode.qos }, (error) => {
      if (error === undefined || error === null) this.#acknowledged.add(body)
      // The library gave it up with the connection, so nothing was promised.
      else this.#givenUp++
    })
  }

  /** Everything that was sent is acknowledged in the end, and what is acknowledged has come. */
  async #settled(): Promise<void> {
    const deadline = performance.now() + SETTLED_WITHIN_MS
    while (performance.now() < deadline) {
      if (this.#underWay === 0 && this.#received.size >= this.#acknowledged.size) break
      await sleep(20)
    }
    // Time for a second copy to show.
    await sleep(300)
  }

  #check(): number {
    const lost = [...this.#acknowledged].filter((body) => !this.#received.has(body))
    assert.deepEqual(lost, [], 'acknowledged and never delivered')
    assert.equal(this.#underWay, 0, 'the client was never told of some')
    const again = [...this.#received].filter(([, count]) => count > 1).map(([body]) => body)
    if (this.#mode.qos === 2) assert.deepEqual(again, [], 'QoS 2, and delivered twice')
    return again.length
  }
}
