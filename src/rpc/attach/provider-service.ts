import type { RandomSource } from '../../lib/random.ts'
import {
  CLOSED_REQUEST,
  type CallHead,
  type Callee,
  type ReplySink,
  type RequestSink,
} from '../call.ts'
import { Metadata } from '../metadata.ts'
import { type Account, StandingCalls } from '../standing-calls.ts'
import { RpcError, statusOf } from '../status.ts'
import { AttachStream, type AttachParts } from './attach-stream.ts'
import { ATTACHMENTS_MAX } from './limits.ts'

export const PROVIDER_SERVICE = 'waystation.rpc.v1.Provider'
export const ATTACH_PATH: string = `/${PROVIDER_SERVICE}/Attach`

export interface ProviderServiceParts extends Omit<AttachParts, 'streams' | 'user'> {
  readonly random: RandomSource
  readonly account: Account
}

/** Answers waystation.rpc.v1.Provider for one user: programs that provide services by gRPC alone. */
export class ProviderService implements Callee {
  readonly #parts: AttachParts

  constructor({ account, ...parts }: ProviderServiceParts) {
    const streams = new StandingCalls(parts.clock, account, ATTACHMENTS_MAX)
    this.#parts = { ...parts, user: account.name, streams }
  }

  open(head: CallHead, reply: ReplySink): RequestSink {
    try {
      if (head.path !== ATTACH_PATH) {
        throw new RpcError('UNIMPLEMENTED', `${head.path} is not served here`)
      }
      if (head.contentType !== 'proto') {
        throw new RpcError('UNIMPLEMENTED', `${PROVIDER_SERVICE} takes protobuf only`)
      }
      return new AttachStream(this.#parts, reply)
    } catch (error) {
      if (!(error instanceof RpcError)) throw error
      reply.status(error.status, Metadata.EMPTY)
      return CLOSED_REQUEST
    }
  }

  /** The connection takes no more calls. */
  drain(reason: string): void {
    this.#parts.streams.drain(statusOf('UNAVAILABLE', reason))
  }
}
