/**
 * A call between its two sides, whoever they are: a connection of any protocol, the relay, a
 * provider in this process. Nobody on the way decodes a payload or knows the kind of a call: one
 * message to and fro and a stream of them are the same.
 *
 * All of it is synchronous calls on the turn in which something came; nothing makes a promise.
 * Messages are **borrowed**: whoever keeps one beyond the call copies it. After `status` and after
 * `cancel` nothing more is said in either direction, and what is said all the same does nothing.
 * The names on the two sides differ, so that one object can stand between them.
 */
import type { Metadata } from './metadata.ts'
import type { Status } from './status.ts'

/** What a call says when it is opened. */
export interface CallHead {
  /** `/package.Service/Method`. */
  readonly path: string
  readonly metadata: Metadata
  /** When the caller gives up, on this process's `Clock.monotonicMs()`; see `deadlineAfter`. */
  readonly deadlineMs: number
  /** How the messages are written: `proto`, `json`, or what else the two sides agree on. */
  readonly contentType: string
  /** Ends with OK as soon as a provider has it; nobody hears of what became of it. */
  readonly isOneWay: boolean
}

/** Takes calls: the relay, a provider, the other end of a connection. */
export interface Callee {
  /** May end the call, by `reply.status`, before it returns. */
  open(head: CallHead, reply: ReplySink): RequestSink
}

/** What the caller says, as the callee hears it. */
export interface RequestSink {
  /** `isLast`: no message follows; saves the call of `halfClose`. */
  message(bytes: Uint8Array, isLast: boolean): void
  /** No message follows. */
  halfClose(): void
  /** The caller wants no answer any more, and is told nothing more. */
  cancel(reason: string): void
  /** The caller has dealt with replies: `cost` more may be sent. */
  creditReplies(cost: number): void
}

/** What the callee says, as the caller hears it. */
export interface ReplySink {
  /** Metadata ahead of the first reply; at most once, and only if there is any. */
  head(metadata: Metadata): void
  reply(bytes: Uint8Array): void
  /** The end, exactly once. */
  status(status: Status, trailers: Metadata): void
  /** The callee has dealt with requests: `cost` more may be sent. */
  creditRequests(cost: number): void
}

/**
 * What either side may have sent in each call before the first credit. A message may be sent
 * while what is left is above zero, however large it is: so a window holds at most itself and one
 * message of the largest size. Four messages of 64 KiB: with room for one, each would wait for the
 * credit of the one before.
 */
export const CALL_WINDOW = 262_144

/**
 * Whoever has dealt with so much says so. Far less than a window, so that a sender who counts on a
 * smaller one goes on too.
 */
export const CREDIT_DUE = 32_768

/** What a message uses of the window; empty ones cost too. */
export function messageCost(byteLength: number): number {
  return byteLength + MESSAGE_OVERHEAD
}

const MESSAGE_OVERHEAD = 32

/** When nothing is said of a call's time. */
export const DEADLINE_MS_DEFAULT = 10_000

/** No call is longer, unless a broker or a client is configured otherwise. */
export const DEADLINE_MS_MAX_DEFAULT = 3_600_000

/** The moment at which a call that began now is over; `timeoutMs` null: nothing was said. */
export function deadlineAfter(
  nowMs: number,
  timeoutMs: number | null,
  timeoutMsMax: number = DEADLINE_MS_MAX_DEFAULT,
): number {
  const wanted = timeoutMs ?? DEADLINE_MS_DEFAULT
  return nowMs + Math.min(Math.max(wanted, 0), timeoutMsMax)
}

/** For a side that has nothing to say to: a call that ended when it was opened. */
export const CLOSED_REQUEST: RequestSink = {
  message: () => {},
  halfClose: () => {},
  cancel: () => {},
  creditReplies: () => {},
}

/** The service of a path: `package.Service`; null when it is no path of a method. */
export function serviceOf(path: string): string | null {
  const end = path.indexOf('/', 1)
  return path.startsWith('/') && end > 1 && end < path.length - 1 ? path.slice(1, end) : null
}

/**
 * What permissions are asked about: a caller needs `write` and a provider `read` for the queue of
 * this name, whether or not there is one.
 */
export function permissionNameOf(service: string): string {
  return `rpc.${service}`
}

/** Consumers of the queue of this name provide the service; see `bridge/queue-providers.ts`. */
export function workerQueueNameOf(service: string): string {
  return `rpc-worker.${service}`
}
