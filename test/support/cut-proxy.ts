import net from 'node:net'

/** Stands between a client and a server until it is cut: as if the client had died. */
export class CutProxy {
  readonly #server: net.Server
  readonly #sockets = new Set<net.Socket>()

  private constructor(server: net.Server) {
    this.#server = server
  }

  static async open(targetPort: number): Promise<CutProxy> {
    const server = net.createServer()
    const proxy = new CutProxy(server)
    server.on('connection', (near) => proxy.#join(near, net.connect(targetPort, '127.0.0.1')))
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    return proxy
  }

  get port(): number {
    return (this.#server.address() as net.AddressInfo).port
  }

  /** Nobody gets through any more. */
  cut(): void {
    this.#server.close()
    for (const socket of this.#sockets) socket.destroy()
  }

  #join(near: net.Socket, far: net.Socket): void {
    for (const socket of [near, far]) {
      this.#sockets.add(socket)
      socket.on('error', () => {})
      socket.on('close', () => {
        near.destroy()
        far.destroy()
      })
    }
    near.pipe(far)
    far.pipe(near)
  }
}
