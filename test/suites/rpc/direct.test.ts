/** Callers connected to a provider that listens, without a broker. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { z } from 'zod'
import {
  connectChannel,
  createClient,
  listenChannel,
  rpc,
  serve,
  service,
} from '../../../src/client/index.ts'

const Text = z.object({ text: z.string() })
const Echo = service('test.v1.Echo', {
  echo: rpc.unary({ in: Text, out: Text }),
  repeat: rpc.serverStream({ in: Text, out: Text }),
  hang: rpc.unary({ in: Text, out: Text }),
})

test('calls of both sizes pass, and end with the channel', async () => {
  await using listening = await listenChannel({ messageBytesMax: 50_000 })
  const aborted = Promise.withResolvers<void>()
  serve(listening, Echo, {
    echo: (input) => input,
    async *repeat(input) {
      for (let count = 0; count < 2000; count++) yield input
    },
    hang: async (_, { signal }) =>
      new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => {
          aborted.resolve()
          reject(new Error('aborted'))
        })
      }),
  })
  const channel = connectChannel(listening.url)
  const echo = createClient(Echo, channel, { policy: { retry: false } })
  assert.deepEqual(await echo.echo({ text: 'a' }), { text: 'a' })
  let count = 0
  for await (const { text } of echo.repeat({ text: 'b'.repeat(100) })) count += text.length
  assert.equal(count, 200_000)
  await assert.rejects(echo.echo({ text: 'x'.repeat(60_000) }), { code: 'RESOURCE_EXHAUSTED' })
  const hanging = assert.rejects(echo.hang({ text: '' }), { code: 'UNAVAILABLE' })
  // On the same connection, so the one before has come when this is answered.
  await echo.echo({ text: 'c' })
  await channel.close()
  await hanging
  await aborted.promise
})

test('a wrong password is refused, and other hosts need one', async () => {
  await using listening = await listenChannel({ user: 'u', password: 'secret' })
  serve(listening, Echo, { echo: (input) => input, repeat: () => [], hang: (input) => input })
  for (const password of ['guest', 'secret']) {
    await using channel = connectChannel(listening.url, { user: 'u', password })
    const answer = createClient(Echo, channel, { policy: { retry: false } }).echo({ text: 'a' })
    if (password === 'secret') assert.deepEqual(await answer, { text: 'a' })
    else await assert.rejects(answer, { code: 'UNAUTHENTICATED' })
  }
  await assert.rejects(listenChannel({ host: '0.0.0.0' }), TypeError)
})
