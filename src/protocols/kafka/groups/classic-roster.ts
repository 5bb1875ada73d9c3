import {
  type ClassicMember,
  type ClassicProtocol,
  failedJoin,
  failedSync,
  type JoinedMember,
  type JoinRespond,
} from './classic-member.ts'

/** What all groups of a virtual host keep of their members, in bytes. */
export interface GroupBudget {
  heldBytes: number
}

/** Who wants to know how many members a group has. */
export type MemberCounter = (count: number) => void

/**
 * Who is in a classic group: members in the order they joined, the leader, static names, and how
 * many know each protocol. Counts are kept, so that no question walks over all members.
 */
export class ClassicRoster {
  readonly #budget: GroupBudget
  readonly #countChanged: MemberCounter
  readonly #members: Map<string, ClassicMember> = new Map()
  readonly #staticIds: Map<string, string> = new Map()
  /** How many members know a protocol. */
  readonly #knownBy: Map<string, number> = new Map()
  #joiningCount = 0
  #heldBytes = 0
  leaderId = ''
  protocolType: string | null = null

  constructor(budget: GroupBudget, countChanged: MemberCounter) {
    this.#budget = budget
    this.#countChanged = countChanged
  }

  get size(): number {
    return this.#members.size
  }

  /** Members whose JoinGroup is parked. */
  get joiningCount(): number {
    return this.#joiningCount
  }

  /** What all members have us keep. */
  get heldBytes(): number {
    return this.#heldBytes
  }

  get(memberId: string): ClassicMember | undefined {
    return this.#members.get(memberId)
  }

  has(memberId: string): boolean {
    return this.#members.has(memberId)
  }

  all(): Iterable<ClassicMember> {
    return this.#members.values()
  }

  /** Who bears a static name at present. */
  staticId(instanceId: string): string | undefined {
    return this.#staticIds.get(instanceId)
  }

  /** The longest wait any member asks for. */
  get rebalanceTimeoutMs(): number {
    let longestMs = 0
    for (const member of this.#members.values()) {
      longestMs = Math.max(longestMs, member.rebalanceTimeoutMs)
    }
    return longestMs
  }

  add(member: ClassicMember, protocols: readonly ClassicProtocol[], join: JoinRespond): void {
    if (this.#members.size === 0) this.protocolType = member.protocolType
    if (this.leaderId === '') this.leaderId = member.memberId
    if (member.instanceId !== null) this.#staticIds.set(member.instanceId, member.memberId)
    this.#members.set(member.memberId, member)
    this.setProtocols(member, protocols)
    this.park(member, join)
    this.#countChanged(this.#members.size)
  }

  /** Copies what the member says about itself. */
  setProtocols(member: ClassicMember, protocols: readonly ClassicProtocol[]): void {
    this.#count(member, -1)
    this.#hold(-member.heldBytes)
    member.protocols = protocols.map(({ name, metadata }) => ({
      name,
      metadata: Buffer.from(metadata),
    }))
    this.#hold(member.heldBytes)
    this.#count(member, 1)
  }

  setAssignment(member: ClassicMember, assignment: Buffer): void {
    this.#hold(-member.heldBytes)
    member.assignment = Buffer.from(assignment)
    this.#hold(member.heldBytes)
  }

  park(member: ClassicMember, join: JoinRespond): void {
    if (member.joining === null) this.#joiningCount += 1
    // A client that asks again gave up the first answer, most likely with its connection.
    else member.joining(failedJoin('REBALANCE_IN_PROGRESS', member.memberId))
    member.joining = join
  }

  /** Takes the parked join, for an answer. */
  unpark(member: ClassicMember): JoinRespond | null {
    const { joining } = member
    if (joining === null) return null
    member.joining = null
    this.#joiningCount -= 1
    return joining
  }

  /** Forgets a member; what it still waits for is answered with `UNKNOWN_MEMBER_ID`. */
  remove(member: ClassicMember): void {
    if (!this.#members.delete(member.memberId)) return
    this.#count(member, -1)
    this.#hold(-member.heldBytes)
    if (member.instanceId !== null) this.#staticIds.delete(member.instanceId)
    if (this.leaderId === member.memberId) {
      this.leaderId = this.#members.keys().next().value ?? ''
    }
    this.unpark(member)?.(failedJoin('UNKNOWN_MEMBER_ID', ''))
    const { syncing } = member
    member.syncing = null
    syncing?.(failedSync('UNKNOWN_MEMBER_ID'))
    this.#countChanged(this.#members.size)
  }

  /** The same static member under a new id; whoever waits under the old one is fenced. */
  rename(member: ClassicMember, memberId: string): void {
    const formerId = member.memberId
    this.unpark(member)?.(failedJoin('FENCED_INSTANCE_ID', formerId))
    const { syncing } = member
    member.syncing = null
    syncing?.(failedSync('FENCED_INSTANCE_ID'))
    this.#members.delete(formerId)
    member.memberId = memberId
    this.#members.set(memberId, member)
    this.#staticIds.set(member.instanceId!, memberId)
    if (this.leaderId === formerId) this.leaderId = memberId
  }

  /** Whether anybody who joined can lead; makes the first of them leader when the leader did not. */
  electJoined(): boolean {
    const leader = this.#members.get(this.leaderId)
    if (leader === undefined) return false
    if (leader.joining !== null) return true
    for (const member of this.#members.values()) {
      if (member.joining === null) continue
      this.leaderId = member.memberId
      return true
    }
    return false
  }

  /** Whether a member of this type, with one of these protocols, fits to all that are there. */
  suits(protocolType: string, protocols: readonly ClassicProtocol[]): boolean {
    if (this.#members.size === 0) return protocolType !== '' && protocols.length > 0
    return (
      this.protocolType === protocolType && protocols.some(({ name }) => this.#isKnownByAll(name))
    )
  }

  /** The protocol most members like best among those that all know. */
  elected(): string {
    const votes = new Map<string, number>()
    for (const { protocols } of this.#members.values()) {
      const liked = protocols.find(({ name }) => this.#isKnownByAll(name))
      if (liked !== undefined) votes.set(liked.name, (votes.get(liked.name) ?? 0) + 1)
    }
    let elected = ''
    let votesMax = 0
    for (const [name, count] of votes) {
      if (count <= votesMax) continue
      elected = name
      votesMax = count
    }
    return elected
  }

  /** What the leader is told. */
  listing(protocolName: string): JoinedMember[] {
    return Array.from(this.#members.values(), (member) => ({
      memberId: member.memberId,
      instanceId: member.instanceId,
      metadata: member.metadataFor(protocolName),
    }))
  }

  #hold(bytes: number): void {
    this.#heldBytes += bytes
    this.#budget.heldBytes += bytes
  }

  #isKnownByAll(name: string): boolean {
    return this.#knownBy.get(name) === this.#members.size
  }

  #count(member: ClassicMember, step: 1 | -1): void {
    // A name that is there twice counts once.
    for (const name of new Set(member.protocols.map((protocol) => protocol.name))) {
      const count = (this.#knownBy.get(name) ?? 0) + step
      if (count === 0) this.#knownBy.delete(name)
      else this.#knownBy.set(name, count)
    }
  }
}
