import { Socket, type SocketConstructorOpts } from 'node:net'
import { TLSSocket } from 'node:tls'

/** What one read brings at most: as much as Node's own reads. */
const READ_BYTES_MAX = 65_536

/** One for all sockets: what comes is borrowed for the call, and only one is read at a time. */
const buffer: Buffer = Buffer.allocUnsafeSlow(READ_BYTES_MAX)

/** Parts of a socket that Node has no public name for. */
interface SocketParts {
  _handle?: { readonly useUserBuffer?: unknown } | null
  _server?: unknown
}

/**
 * Calls `received` with whatever comes, in a buffer that the next read of any socket overwrites.
 * Returns the socket to go on with.
 *
 * Node makes a new buffer for each read, and has a quarter of a broker's time go into collecting
 * them. Its remedy, `onread`, it offers for sockets that connect, not for those that a server
 * accepted. So the handle moves into a new socket that has it; where that cannot be done, and with
 * TLS, every read has its buffer.
 */
export function readShared(accepted: Socket, received: (bytes: Buffer) => void): Socket {
  const parts = accepted as unknown as SocketParts
  const handle = parts._handle
  if (accepted instanceof TLSSocket || typeof handle?.useUserBuffer !== 'function') {
    accepted.on('data', received)
    return accepted
  }
  const callback = (size: number): boolean => {
    received(size === buffer.length ? buffer : buffer.subarray(0, size))
    return true
  }
  const options = { handle, allowHalfOpen: true, onread: { buffer, callback } }
  parts._handle = null
  const socket = new Socket(options as unknown as SocketConstructorOpts)
  // The server counts its connections by their ends.
  const moved = socket as unknown as SocketParts
  moved._server = parts._server
  parts._server = null
  return socket
}
