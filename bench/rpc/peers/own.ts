/**
 * Waystation's side: `node own.ts broker`, `node own.ts provide URL|direct`, or
 * `node own.ts call|stream|large|durable URL IN_FLIGHT SECONDS`. Prints one line when it is ready
 * or done. A URL of `grpc:` is called by gRPC and protobuf, others by our frames and JSON.
 */
import { connectChannel, createClient, listenChannel, serve } from '../../../src/client/index.ts'
import { startBroker } from '../../../src/server/index.ts'
import { driveCalls, driveStream, type Measured } from '../drive.ts'
import { CONCURRENCY, Echo, INPUT, LARGE_BYTES, ProtoEcho } from '../echo.ts'

const [role = '', url = '', inFlight = '1', seconds = '5'] = process.argv.slice(2)
if (role === 'broker') {
  const broker = await startBroker({ listen: { amqp: 0, rpc: 0 }, data: url })
  console.log(`${broker.url('rpc')} ${broker.url('amqp')}`)
} else if (role === 'provide') console.log(await provide())
else console.log(JSON.stringify(await call()))

async function provide(): Promise<string> {
  const listening = url === 'direct' ? await listenChannel() : null
  const channel = listening ?? connectChannel(url)
  for (const contract of [Echo, ProtoEcho]) {
    const handlers = {
      echo: (input: unknown) => input,
      async *repeat(input: unknown) {
        for (;;) yield input
      },
    }
    await serve(channel, contract, handlers, { concurrency: CONCURRENCY }).ready
  }
  return listening?.url ?? url
}

async function call(): Promise<Measured> {
  const contract = url.startsWith('grpc:') ? ProtoEcho : Echo
  const client = createClient(contract, connectChannel(url))
  const settings = { inFlight: Number(inFlight), seconds: Number(seconds) }
  if (role === 'call') return driveCalls(async () => client.echo(INPUT), settings)
  // Ends when the call is on disk; its provider works it off meanwhile.
  if (role === 'durable') return driveCalls(async () => client.echo.durable(INPUT), settings)
  const message = role === 'large' ? { text: 'x'.repeat(LARGE_BYTES) } : INPUT
  return driveStream(() => client.repeat(message), settings.seconds)
}
