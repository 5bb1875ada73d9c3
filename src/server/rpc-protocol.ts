import { PREFACE } from '../codec/http2/index.ts'
import { PREAMBLE } from '../codec/rpc/index.ts'
import { beginsWith, oneOf } from '../net/index.ts'
import { createGrpc } from '../protocols/grpc/index.ts'
import { createRpc } from '../protocols/rpc/index.ts'
import type { ProtocolParts, ServedProtocol } from './protocols.ts'

/** Calls on one port, in our own frames or over HTTP/2, told apart by their first bytes. */
export function rpcProtocol(parts: ProtocolParts): ServedProtocol {
  const { messageSize, callsPerConnection, deadlineMax } = parts.config.rpc
  const options = {
    ...parts,
    core: parts.rpcCore,
    limits: {
      ...(messageSize === undefined ? {} : { messageBytesMax: messageSize }),
      ...(callsPerConnection === undefined ? {} : { callsMax: callsPerConnection }),
      ...(deadlineMax === undefined ? {} : { deadlineMsMax: deadlineMax }),
    },
  }
  const choices = [
    { protocol: createRpc(options), matches: (bytes: Buffer) => beginsWith(bytes, PREAMBLE) },
    { protocol: createGrpc(options), matches: (bytes: Buffer) => beginsWith(bytes, PREFACE) },
  ]
  const protocols: readonly ServedProtocol[] = choices.map(({ protocol }) => protocol)
  return {
    ...oneOf('rpc', choices, parts.clock),
    connections: () => protocols.flatMap((protocol) => protocol.connections()),
    closeConnection: (id, reason) =>
      protocols.some((protocol) => protocol.closeConnection(id, reason)),
  }
}
