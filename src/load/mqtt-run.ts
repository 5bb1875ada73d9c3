import { LatencyHistogram } from './histogram.ts'
import { MqttLoad, type MqttLoadSpec } from './mqtt/load.ts'
import { RunMeter, type RunCounts, type RunResult } from './run-meter.ts'

export type MqttRunSpec = Omit<MqttLoadSpec, 'role' | 'latencies' | 'keepsSessions'>

/** Publishers and subscribers of MQTT in this process; each subscriber gets every message. */
export class MqttRun {
  readonly #load: MqttLoad
  readonly #latencies: NonNullable<MqttLoadSpec['latencies']>
  readonly #spec: MqttRunSpec

  private constructor(
    spec: MqttRunSpec,
    load: MqttLoad,
    latencies: NonNullable<MqttLoadSpec['latencies']>,
  ) {
    this.#spec = spec
    this.#load = load
    this.#latencies = latencies
  }

  static async open(spec: MqttRunSpec): Promise<MqttRun> {
    const latencies = { acknowledged: new LatencyHistogram(), arrived: new LatencyHistogram() }
    const whole = { ...spec, role: 'mqtt-load', keepsSessions: false, latencies } as const
    return new MqttRun(spec, await MqttLoad.open(whole), latencies)
  }

  get counts(): RunCounts {
    return { published: this.#load.published, consumed: this.#load.consumed }
  }

  stop(): void {
    this.#load.stop()
  }

  async run(): Promise<RunResult> {
    const meter = new RunMeter(() => this.counts)
    try {
      const { redelivered } = await this.#load.run()
      const { acknowledged, arrived } = this.#latencies
      return {
        ...meter.published(),
        ...meter.end(),
        ...this.counts,
        redelivered,
        confirmLatencies: this.#spec.qos === 0 ? null : acknowledged.latencies(),
        deliveryLatencies: arrived.latencies(),
      }
    } finally {
      meter.stop()
    }
  }
}
