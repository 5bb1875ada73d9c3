import { requirePermission, requireTopicPermission, type UserStore } from '../auth/index.ts'
import type { Broker } from '../broker/broker.ts'
import { MessageBridge } from '../rpc/bridge/message-bridge.ts'
import type { MessageRights } from '../rpc/bridge/message-callers.ts'
import type { RpcCore } from '../rpc/core.ts'
import type { RpcInput } from './config-schema.ts'

export interface CallMessagesParts {
  readonly broker: Broker
  readonly core: RpcCore
  readonly users: UserStore
  readonly config: RpcInput
}

/** Calls by messages, held to what their publishers may do and to what is configured for calls. */
export function openCallMessages({
  broker,
  core,
  users,
  config,
}: CallMessagesParts): MessageBridge {
  const { messageSize, deadlineMax } = config
  return new MessageBridge({
    broker,
    core,
    rights: rightsOf(users),
    limits: {
      ...(messageSize === undefined ? {} : { messageBytesMax: messageSize }),
      ...(deadlineMax === undefined ? {} : { deadlineMsMax: deadlineMax }),
    },
  })
}

function rightsOf(users: UserStore): MessageRights {
  return {
    requireCall: (vhost, user, name) => {
      requirePermission(users, { user, vhost, resource: 'queue', name, kind: 'write' })
    },
    requirePublish: (vhost, user, { exchange, key }) => {
      const who = { user, vhost, kind: 'write' } as const
      requirePermission(users, { ...who, resource: 'exchange', name: exchange })
      if (exchange === '') return
      requireTopicPermission(users, { ...who, exchange, routingKey: key })
    },
  }
}
