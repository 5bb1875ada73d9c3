/** Members of Kafka's groups, message by message. */
import type { Answer, KafkaPeer } from './kafka-peer.ts'

const JOIN_VERSION = 9
const SYNC_VERSION = 5
const HEARTBEAT_VERSION = 4

export interface MemberOptions {
  readonly groupId?: string
  readonly instanceId?: string | null
  readonly sessionTimeoutMs?: number
  readonly rebalanceTimeoutMs?: number
  readonly metadata?: Buffer
}

/** A member of a classic group that does each step when a test says so. */
export class ClassicMember {
  readonly #peer: KafkaPeer
  readonly groupId: string
  readonly #options: MemberOptions
  memberId = ''
  generation = -1

  constructor(peer: KafkaPeer, options: MemberOptions = {}) {
    this.#peer = peer
    this.groupId = options.groupId ?? 'g'
    this.#options = options
  }

  /** Asks for an id; static members need none before they join. */
  async enter(): Promise<void> {
    const answer = await this.join()
    if (answer.errorCode !== 79) throw new Error(`JoinGroup answered ${answer.errorCode}`)
    this.memberId = answer.memberId
  }

  async join(): Promise<Answer<'JoinGroup'>> {
    const { instanceId = null, metadata = Buffer.from('m') } = this.#options
    const answer = await this.#peer.call('JoinGroup', JOIN_VERSION, {
      groupId: this.groupId,
      sessionTimeoutMs: this.#options.sessionTimeoutMs ?? 10_000,
      rebalanceTimeoutMs: this.#options.rebalanceTimeoutMs ?? 30_000,
      memberId: this.memberId,
      groupInstanceId: instanceId,
      protocolType: 'consumer',
      protocols: [{ name: 'range', metadata }],
      reason: null,
    })
    if (answer.errorCode === 0) {
      this.memberId = answer.memberId
      this.generation = answer.generationId
    }
    return answer
  }

  /** With assignments by member id, from the leader. */
  async sync(assignments: Readonly<Record<string, string>> = {}): Promise<Answer<'SyncGroup'>> {
    return this.#peer.call('SyncGroup', SYNC_VERSION, {
      ...this.#claim,
      generationId: this.generation,
      protocolType: 'consumer',
      protocolName: 'range',
      assignments: Object.entries(assignments).map(([memberId, text]) => ({
        memberId,
        assignment: Buffer.from(text),
      })),
    })
  }

  /** The error code. */
  async beat(): Promise<number> {
    const answer = await this.#peer.call('Heartbeat', HEARTBEAT_VERSION, {
      ...this.#claim,
      generationId: this.generation,
    })
    return answer.errorCode
  }

  get #claim(): Record<string, unknown> {
    const { instanceId = null } = this.#options
    return { groupId: this.groupId, memberId: this.memberId, groupInstanceId: instanceId }
  }
}
