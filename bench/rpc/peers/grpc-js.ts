/**
 * grpc-js: `node grpc-js.ts provide`, or `node grpc-js.ts call|stream|large HOST:PORT IN_FLIGHT SECONDS`.
 * Its client also calls other servers. Prints one line when it is ready or done.
 */
import {
  type ClientReadableStream,
  credentials,
  makeGenericClientConstructor,
  Server,
  ServerCredentials,
  type ServerWritableStream,
  type ServiceDefinition,
} from '@grpc/grpc-js'
import { driveCalls, driveStream } from '../drive.ts'
import { GRPC_PATHS, INPUT, LARGE_BYTES } from '../echo.ts'

/** `message Text { string text = 1; }`, as short as it can be written. */
const codec = {
  to: ({ text }: { readonly text: string }): Buffer => {
    const { length } = text
    const head = [0x0a]
    let rest = length
    for (; rest > 0x7f; rest >>>= 7) head.push((rest & 0x7f) | 0x80)
    return Buffer.concat([Buffer.from([...head, rest]), Buffer.from(text)])
  },
  from: (bytes: Buffer): { readonly text: string } => {
    let at = 1
    while (bytes[at]! > 0x7f) at++
    return { text: bytes.toString('utf8', at + 1) }
  },
}
const CODEC = {
  ...{ requestSerialize: codec.to, requestDeserialize: codec.from },
  ...{ responseSerialize: codec.to, responseDeserialize: codec.from },
}
const ECHO: ServiceDefinition = {
  echo: { path: GRPC_PATHS.echo, requestStream: false, responseStream: false, ...CODEC },
  repeat: { path: GRPC_PATHS.repeat, requestStream: false, responseStream: true, ...CODEC },
}

const [role = '', url = '', inFlight = '1', seconds = '5'] = process.argv.slice(2)
console.log(role === 'provide' ? await provide() : JSON.stringify(await call()))

async function provide(): Promise<string> {
  const server = new Server()
  server.addService(ECHO, {
    echo: (
      { request }: { readonly request: unknown },
      answer: (error: null, value: unknown) => void,
    ): void => answer(null, request),
    repeat: (stream: ServerWritableStream<unknown, unknown>): void => {
      const write = (): void => {
        while (!stream.cancelled && stream.write(stream.request));
      }
      stream.on('drain', write)
      write()
    },
  })
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) => {
      if (error === null) resolve(bound)
      else reject(error)
    })
  })
  return `127.0.0.1:${port}`
}

async function call(): Promise<object> {
  const Client = makeGenericClientConstructor(ECHO, 'Echo')
  const client = new Client(url, credentials.createInsecure())
  const method = (name: string): ((...parts: unknown[]) => unknown) =>
    (client[name] as (...parts: unknown[]) => unknown).bind(client)
  const settings = { inFlight: Number(inFlight), seconds: Number(seconds) }
  if (role !== 'call') {
    const message = role === 'large' ? { text: 'x'.repeat(LARGE_BYTES) } : INPUT
    const repeat = method('repeat')
    return driveStream(() => repeat(message) as ClientReadableStream<unknown>, settings.seconds)
  }
  const echo = method('echo')
  return driveCalls(
    async () =>
      new Promise((resolve, reject) => {
        echo(INPUT, (error: Error | null, value: unknown) => {
          if (error === null) resolve(value)
          else reject(error)
        })
      }),
    settings,
  )
}
