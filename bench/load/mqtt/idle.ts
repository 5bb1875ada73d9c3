import { nowMs } from '../../../src/load/clock.ts'
import { inParallel } from '../../../src/load/in-parallel.ts'
import type { Endpoint } from '../../../src/load/raw-socket.ts'
import { MqttClient } from '../../../src/load/mqtt/client.ts'
import type { Qos } from '../../../src/load/mqtt/wire.ts'

export interface MqttIdleSpec extends Endpoint {
  readonly role: 'mqtt-idle'
  readonly count: number
  readonly keepAliveSeconds: number
  /** Each client subscribes to a topic of its own; null: to nothing. */
  readonly subscribedQos: Qos | null
}

export interface MqttIdleResult {
  readonly answered: number
  /** From the first PINGREQ to the last PINGRESP. */
  readonly pingMs: number
}

/** No reply is longer, and ten thousand buffers must stay small. */
const READ_BUFFER_BYTES = 1_024

/** Holds connected clients that do nothing until they are pinged. */
export class MqttIdleClients {
  readonly #clients: MqttClient[] = []
  #failure: Error | null = null

  static async open(spec: MqttIdleSpec): Promise<MqttIdleClients> {
    const idle = new MqttIdleClients()
    const { count, keepAliveSeconds, subscribedQos } = spec
    await inParallel(count, async (index) => {
      const clientId = `bench-idle-${index}`
      const connect = { clientId, version: 4, clean: true, keepAliveSeconds } as const
      const client = await MqttClient.open(spec, connect, { readBufferBytes: READ_BUFFER_BYTES })
      client.onError = (error) => {
        idle.#failure ??= error
      }
      if (subscribedQos !== null) await client.subscribe([`bench/idle/${index}`], subscribedQos)
      idle.#clients.push(client)
    })
    return idle
  }

  /** All send PINGREQ at once and each must be answered; throws if the broker closed one. */
  async ping(): Promise<MqttIdleResult> {
    if (this.#failure !== null) throw this.#failure
    const startMs = nowMs()
    let answered = 0
    await Promise.all(
      this.#clients.map(async (client) => {
        await client.ping()
        answered++
      }),
    )
    return { answered, pingMs: nowMs() - startMs }
  }

  async close(): Promise<void> {
    await Promise.all(this.#clients.map((client) => client.close()))
  }
}
