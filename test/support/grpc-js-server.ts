import {
  type sendUnaryData,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServerUnaryCall,
} from '@grpc/grpc-js'

const identity = (bytes: Buffer): Buffer => bytes

function method(name: string, streams: boolean): object {
  return {
    path: `/test.Echo/${name}`,
    requestStream: streams,
    responseStream: streams,
    ...{ requestSerialize: identity, requestDeserialize: identity },
    ...{ responseSerialize: identity, responseDeserialize: identity },
  }
}

/** A gRPC server of other people with a service `test.Echo`, that knows of no broker. */
export class GrpcJsServer {
  readonly #server = new Server()
  port = 0
  /** Calls of `Wait` that are open. */
  waitingCount = 0

  constructor() {
    const definition = {
      Unary: method('Unary', false),
      Wait: method('Wait', false),
      Chat: method('Chat', true),
    }
    this.#server.addService(definition as Parameters<Server['addService']>[0], {
      Unary: (call: ServerUnaryCall<Buffer, Buffer>, done: sendUnaryData<Buffer>) => {
        done(null, call.request)
      },
      Wait: (call: ServerUnaryCall<Buffer, Buffer>) => {
        this.waitingCount += 1
        call.on('cancelled', () => void this.waitingCount--)
      },
      Chat: (call: ServerDuplexStream<Buffer, Buffer>) => {
        call.on('data', (message: Buffer) => call.write(message))
        call.on('end', () => call.end())
      },
    })
  }

  /** 0 picks a free port. */
  listen(port = 0): Promise<number> {
    return new Promise((resolve, reject) => {
      const credentials = ServerCredentials.createInsecure()
      this.#server.bindAsync(`127.0.0.1:${port}`, credentials, (error, bound) => {
        this.port = bound
        if (error === null) resolve(bound)
        else reject(error)
      })
    })
  }

  /** Says goodbye and lets open calls end. */
  drain(): Promise<void> {
    return new Promise((resolve) => this.#server.tryShutdown(() => resolve()))
  }

  kill(): void {
    this.#server.forceShutdown()
  }
}
