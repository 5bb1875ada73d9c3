/** A provider in a process of its own: `node rpc-provider.ts URL INSTANCE CONCURRENCY`. */
import { z } from 'zod'
import {
  type Contract,
  connectChannel,
  type Method,
  rpc,
  serve,
  service,
  type StandardSchema,
} from '../../src/client/index.ts'

const Text: z.ZodObject<{ text: z.ZodString }> = z.object({ text: z.string() })

type None = Readonly<Record<never, StandardSchema>>

export type KillableMethods = {
  /** Who answered. */
  readonly who: Method<'unary', typeof Text, typeof Text, None>
  /** Never ends, and begins with a reply where `text` says so. */
  readonly hang: Method<'serverStream', typeof Text, typeof Text, None>
}

export const Killable: Contract<KillableMethods> = service('test.v1.Killable', {
  who: rpc.unary({ in: Text, out: Text, idempotency: 'idempotent' }),
  hang: rpc.serverStream({ in: Text, out: Text }),
})

if (import.meta.main) {
  const [url = '', instanceId = '', concurrency = '1'] = process.argv.slice(2)
  const channel = connectChannel(url)
  const provider = serve(
    channel,
    Killable,
    {
      who: () => ({ text: instanceId }),
      async *hang({ text }) {
        if (text === 'begin') yield { text: 'begun' }
        await new Promise(() => {})
      },
    },
    { instanceId, concurrency: Number(concurrency) },
  )
  await provider.ready
  process.stdout.write('ready\n')
  process.once('SIGTERM', () => {
    void provider.close().then(async () => channel.close())
  })
}
