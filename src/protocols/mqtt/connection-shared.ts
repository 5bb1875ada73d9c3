import type { BrokerLog } from '../../broker/index.ts'
import type { Clock } from '../../lib/clock.ts'
import type { RandomSource } from '../../lib/random.ts'
import type { Turn } from '../../lib/turn.ts'
import type { SlabPool } from '../../net/index.ts'
import type { MqttConnection } from './connection.ts'
import type { MqttLimits } from './limits.ts'
import type { LoginParts } from './login.ts'
import type { SysTopics } from './sys-topics.ts'
import type { Wills } from './wills.ts'

/** What all connections share. */
export interface ConnectionShared extends LoginParts {
  readonly turn: Turn
  readonly clock: Clock
  readonly random: RandomSource
  readonly log: BrokerLog
  limitsOf(listener: string): MqttLimits
  readonly slabs: SlabPool
  readonly wills: Wills
  readonly sysTopics: SysTopics
  closed(connection: MqttConnection): void
}
