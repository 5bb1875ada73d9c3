import { type DestinationPolicy, Queue, type VirtualHost } from '../../broker/index.ts'
import { permissionNameOf } from '../call.ts'
import { KEY_METADATA } from '../relay.ts'
import { RpcError } from '../status.ts'
import { ATTEMPTS_MAX_DEFAULT, RETRY_DELAY_MS, RETRY_DELAY_MS_MAX } from './limits.ts'

/** The queue that the durable calls of a service wait in; permissions are asked about the same name. */
export function serviceQueueName(service: string): string {
  return permissionNameOf(service)
}

/** Where those go that failed too often. */
function deadQueueName(service: string): string {
  return `rpc-dead.${service}`
}

/** Makes both, where they are not there: somebody may have declared them otherwise before. */
export async function openServiceQueue(vhost: VirtualHost, service: string): Promise<Queue> {
  const dead = deadQueueName(service)
  await declare(vhost, { name: dead, settings: {}, args: [], countsAttempts: false })
  return declare(vhost, {
    name: serviceQueueName(service),
    settings: {
      deadLetterExchange: '',
      deadLetterRoutingKey: dead,
      attemptsMax: ATTEMPTS_MAX_DEFAULT,
      retryBackoff: 'exponential',
      retryDelayMs: RETRY_DELAY_MS,
      retryDelayMsMax: RETRY_DELAY_MS_MAX,
      keyHeader: KEY_METADATA,
    },
    args: [
      ['x-dead-letter-exchange', ''],
      ['x-dead-letter-routing-key', dead],
      ['x-retry-limit', ATTEMPTS_MAX_DEFAULT],
      ['x-retry-backoff', 'exponential'],
      ['x-retry-delay', RETRY_DELAY_MS],
      ['x-retry-delay-max', RETRY_DELAY_MS_MAX],
      ['x-key-header', KEY_METADATA],
    ],
    countsAttempts: false,
  })
}

async function declare(
  vhost: VirtualHost,
  what: {
    readonly name: string
    readonly settings: DestinationPolicy
    /** The same, as AMQP clients say it. */
    readonly args: readonly (readonly [string, string | number])[]
    readonly countsAttempts: boolean
  },
): Promise<Queue> {
  const { name, settings, args, countsAttempts } = what
  const queue = await vhost.declareQueue({
    ...{ name, profile: 'queue', durable: true, autoDelete: false, exclusiveOwner: null },
    ...{ arguments: new Map(args), settings, countsAttempts, prioritiesMax: 0 },
    singleActive: false,
  })
  if (queue instanceof Queue && queue.spec.durable) return queue
  const text = `'${name}' is there already, and is no durable queue`
  throw new RpcError('FAILED_PRECONDITION', text)
}
