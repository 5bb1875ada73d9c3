import { type AttachFrame, FRAME, writeStatus } from '../../codec/rpc/index.ts'
import { BALANCE_POLICIES } from '../../rpc/balancer.ts'
import type { FramePeer } from '../../rpc/frame-peer.ts'
import type { Attachment, Registry } from '../../rpc/registry.ts'
import { checkProvider } from '../../rpc/provider-check.ts'
import { OK_STATUS, RpcError, type Status, STATUS_CODES } from '../../rpc/status.ts'

export interface AttachmentsParts {
  readonly registry: Registry
  readonly peer: FramePeer
  readonly user: string
  readonly attachmentsMax: number
  /** Throws `RpcError` PERMISSION_DENIED. */
  readonly requireProviding: (service: string) => void
}

/** The providers that are attached through one connection, by the numbers it gave them. */
export class Attachments {
  readonly #parts: AttachmentsParts
  readonly #byId = new Map<number, Attachment>()

  constructor(parts: AttachmentsParts) {
    this.#parts = parts
  }

  get size(): number {
    return this.#byId.size
  }

  /** Answers with ATTACHED, before the first call comes. */
  attach(id: number, frame: AttachFrame): void {
    const { registry, peer } = this.#parts
    try {
      this.#check(id, frame)
      const { policy: policyName, labels, capacity, ...said } = frame
      const policy = BALANCE_POLICIES.find((name) => name === policyName)
      const info = {
        ...said,
        labels: Object.fromEntries(labels),
        user: this.#parts.user,
        ...(policy === undefined ? {} : { policy }),
      }
      // Registered without room for calls first, so that the answer goes ahead of them.
      const attachment = registry.attach(info, peer, 0)
      this.#byId.set(id, attachment)
      this.#answer(id, OK_STATUS)
      registry.setCapacity(attachment, capacity)
    } catch (error) {
      if (!(error instanceof RpcError)) throw error
      this.#answer(id, error.status)
    }
  }

  setCapacity(id: number, capacity: number): void {
    const attachment = this.#byId.get(id)
    if (attachment !== undefined) this.#parts.registry.setCapacity(attachment, capacity)
  }

  detach(id: number): void {
    const attachment = this.#byId.get(id)
    if (attachment === undefined) return
    this.#byId.delete(id)
    this.#parts.registry.detach(attachment)
  }

  detachAll(): void {
    for (const id of [...this.#byId.keys()]) this.detach(id)
  }

  /** While the connection takes nothing, calls wait where they can still go elsewhere. */
  setBlocked(isBlocked: boolean): void {
    for (const attachment of this.#byId.values()) {
      if (attachment.isBlocked === isBlocked) continue
      attachment.isBlocked = isBlocked
      if (!isBlocked) this.#parts.registry.freed(attachment)
    }
  }

  #check(id: number, frame: AttachFrame): void {
    const { attachmentsMax, requireProviding } = this.#parts
    if (this.#byId.has(id)) {
      throw new RpcError('ALREADY_EXISTS', `a provider with the number ${id} is attached already`)
    }
    if (this.#byId.size >= attachmentsMax) {
      const text = `${attachmentsMax} providers are attached through the connection, the limit`
      throw new RpcError('RESOURCE_EXHAUSTED', text)
    }
    checkProvider(frame, requireProviding)
  }

  #answer(id: number, { code, message, details }: Status): void {
    const { peer } = this.#parts
    const frame = { code: STATUS_CODES[code], message, details, trailers: [] }
    writeStatus(peer.output, { type: FRAME.ATTACHED, id }, frame)
    peer.requestOutput()
  }
}
