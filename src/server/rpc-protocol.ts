import { PREFACE } from '../codec/http2/index.ts'
import { PREAMBLE } from '../codec/rpc/index.ts'
import { beginsAsHttp1, beginsWith, oneOf } from '../net/index.ts'
import { createGrpc } from '../protocols/grpc/index.ts'
import { createRpc } from '../protocols/rpc/index.ts'
import type { ProtocolParts, ServedProtocol } from './protocols.ts'

/** Calls on one port: in our own frames, over HTTP/2 or over HTTP/1.1, told apart by their first bytes. */
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
  const rpc = createRpc(options)
  const grpc = createGrpc(options)
  const choices = [
    { protocol: rpc, matches: (bytes: Buffer) => beginsWith(bytes, PREAMBLE) },
    { protocol: grpc, matches: (bytes: Buffer) => beginsWith(bytes, PREFACE) },
    { protocol: grpc.http1, matches: beginsAsHttp1 },
  ]
  const protocols: readonly ServedProtocol[] = [rpc, grpc]
  return {
    ...oneOf('rpc', choices, parts.clock),
    connections: () => protocols.flatMap((protocol) => protocol.connections()),
    closeConnection: (id, reason) =>
      protocols.some((protocol) => protocol.closeConnection(id, reason)),
  }
}
