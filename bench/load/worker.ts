/** The publisher or consumer process: does what `WorkerProcess` in the driver tells it. */
import { churn, IdleConnections, type ChurnSpec, type IdleSpec } from './churn.ts'
import { Consumer, type ConsumeSpec } from '../../src/load/consumer.ts'
import { MqttIdleClients, type MqttIdleSpec } from './mqtt/idle.ts'
import { MqttLoad, type MqttLoadSpec } from '../../src/load/mqtt/load.ts'
import { Publisher, type PublishSpec } from '../../src/load/publisher.ts'

export type WorkerSpec =
  | PublishSpec
  | ConsumeSpec
  | ChurnSpec
  | IdleSpec
  | MqttLoadSpec
  | MqttIdleSpec

export type WorkerCommand =
  | { readonly command: 'prepare'; readonly spec: WorkerSpec }
  /** Publish, churn, close or ping the idle connections; the answer holds the result. */
  | { readonly command: 'run' }
  /** Consume until `expected` messages were seen; the answer holds the result. */
  | { readonly command: 'finish'; readonly expected: number }
  | { readonly command: 'release' }

export interface WorkerAnswer {
  readonly error: string | null
  readonly result: unknown
}

let consumer: Consumer | null = null
let run: () => Promise<unknown> = () => Promise.reject(new Error('nothing is prepared'))

async function prepare(spec: WorkerSpec): Promise<void> {
  switch (spec.role) {
    case 'publish': {
      const publisher = await Publisher.open(spec)
      run = () => publisher.run()
      return
    }
    case 'consume':
      consumer = await Consumer.open(spec)
      return
    case 'churn':
      run = () => churn(spec)
      return
    case 'idle': {
      const idle = await IdleConnections.open(spec)
      run = () => idle.close()
      return
    }
    case 'mqtt-load': {
      const load = await MqttLoad.open(spec)
      run = () => load.run()
      return
    }
    case 'mqtt-idle': {
      const idle = await MqttIdleClients.open(spec)
      run = () => idle.ping()
    }
  }
}

function obey(command: WorkerCommand): Promise<unknown> {
  switch (command.command) {
    case 'prepare':
      return prepare(command.spec)
    case 'run':
      return run()
    case 'finish':
      return consumer?.finish(command.expected) ?? Promise.reject(new Error('not a consumer'))
    case 'release':
      return consumer?.release() ?? Promise.resolve()
  }
}

process.on('message', (command: WorkerCommand) => {
  obey(command).then(
    (result) => process.send?.({ error: null, result } satisfies WorkerAnswer),
    (error: Error) => process.send?.({ error: error.message, result: null } satisfies WorkerAnswer),
  )
})
// The driver is gone, so there is nobody left to load a broker for.
process.on('disconnect', () => process.exit(1))
