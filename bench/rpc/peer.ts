/**
 * One process of the bench of calls: `node peer.ts broker`, `node peer.ts KIND provide [URL]` or
 * `node peer.ts KIND call URL IN_FLIGHT SECONDS`. Prints one line when it is ready or done.
 */
import {
  credentials,
  makeGenericClientConstructor,
  Server,
  ServerCredentials,
  type ServiceDefinition,
} from '@grpc/grpc-js'
import { connectChannel, createClient, listenChannel, serve } from '../../src/client/index.ts'
import { startBroker } from '../../src/server/index.ts'
import { nowMs } from '../../src/load/clock.ts'
import { CONCURRENCY, Echo, ECHO_PATH, INPUT } from './echo.ts'

/** One in so many calls is timed for the percentiles. */
const SAMPLED = 8
const WARM_UP_PART = 0.3

const json = {
  to: (value: unknown): Buffer => Buffer.from(JSON.stringify(value)),
  from: (bytes: Buffer): unknown => JSON.parse(bytes.toString('utf8')),
}

const GRPC_ECHO: ServiceDefinition = {
  echo: {
    ...{ path: ECHO_PATH, requestStream: false, responseStream: false },
    ...{ requestSerialize: json.to, requestDeserialize: json.from },
    ...{ responseSerialize: json.to, responseDeserialize: json.from },
  },
}

const [kind = '', role = '', url = '', inFlight = '1', seconds = '5'] = process.argv.slice(2)
if (kind === 'broker') {
  const broker = await startBroker({ listen: { amqp: false, rpc: 0 } })
  console.log(broker.url('rpc'))
} else if (role === 'provide') console.log(await provide())
else console.log(JSON.stringify(await measure(await caller())))

async function provide(): Promise<string> {
  if (kind === 'grpc-js') {
    const server = new Server()
    server.addService(GRPC_ECHO, {
      echo: (
        call: { readonly request: unknown },
        answer: (error: null, value: unknown) => void,
      ): void => answer(null, call.request),
    })
    const port = await new Promise<number>((resolve, reject) => {
      const insecure = ServerCredentials.createInsecure()
      server.bindAsync('127.0.0.1:0', insecure, (error, bound) => {
        if (error === null) resolve(bound)
        else reject(error)
      })
    })
    return `127.0.0.1:${port}`
  }
  const listening = kind === 'direct' ? await listenChannel() : null
  const provider = serve(
    listening ?? connectChannel(url),
    Echo,
    { echo: (input) => input },
    { concurrency: CONCURRENCY },
  )
  await provider.ready
  return listening?.url ?? url
}

async function caller(): Promise<() => Promise<unknown>> {
  if (kind !== 'grpc-js') {
    const client = createClient(Echo, connectChannel(url))
    return async () => client.echo(INPUT)
  }
  const Client = makeGenericClientConstructor(GRPC_ECHO, 'Echo')
  const client = new Client(url, credentials.createInsecure())
  const echo = (client['echo'] as (...parts: unknown[]) => unknown).bind(client)
  return async () =>
    new Promise((resolve, reject) => {
      echo(INPUT, (error: Error | null, value: unknown) => {
        if (error === null) resolve(value)
        else reject(error)
      })
    })
}

async function measure(call: () => Promise<unknown>): Promise<Record<string, number>> {
  const forMs = Number(seconds) * 1000
  await drive(call, forMs * WARM_UP_PART)
  const startMs = nowMs()
  const { count, samples } = await drive(call, forMs)
  const tookMs = nowMs() - startMs
  samples.sort((one, other) => one - other)
  const at = (part: number): number => samples[Math.floor(samples.length * part)] ?? 0
  return { callsPerSecond: (count / tookMs) * 1000, p50Ms: at(0.5), p99Ms: at(0.99) }
}

async function drive(
  call: () => Promise<unknown>,
  forMs: number,
): Promise<{ readonly count: number; readonly samples: number[] }> {
  const endMs = nowMs() + forMs
  const samples: number[] = []
  let count = 0
  const one = async (): Promise<void> => {
    for (;;) {
      const beganMs = nowMs()
      if (beganMs >= endMs) return
      await call()
      count += 1
      if (count % SAMPLED === 0) samples.push(nowMs() - beganMs)
    }
  }
  await Promise.all(Array.from({ length: Number(inFlight) }, one))
  return { count, samples }
}
