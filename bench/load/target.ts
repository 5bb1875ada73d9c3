import type { Server } from './server.ts'

/** What a scenario and its targets speak. */
export type Protocol = 'amqp' | 'mqtt'

/** A broker together with the kind of queue to use on it. */
export interface Target {
  readonly name: string
  readonly server: Server
  /** It is what the broker under test is compared with. */
  readonly isPeer: boolean
  /** AMQP only. */
  readonly queueArguments: Readonly<Record<string, string | number>>
}

/** Named numbers, the unit last in the name. */
export type Metrics = Readonly<Record<string, number>>
