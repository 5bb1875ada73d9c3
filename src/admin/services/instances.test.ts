import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openAdminWorld } from '../../../test/support/admin-world.ts'
import { CLOSED_REQUEST } from '../../rpc/call.ts'

const ROOT = { authorization: `Basic ${Buffer.from('guest:guest').toString('base64')}` }

test('instances that listen are registered, listed beside attached ones, and taken out', async () => {
  await using world = await openAdminWorld()
  const ask = async (method: 'GET' | 'PUT' | 'DELETE', where: string, body?: object) => {
    const path = `/v1/instances/${where}`
    const options = { headers: ROOT, ...(body === undefined ? {} : { body }) }
    const answer = await world.ask(method, path, options)
    const text = await answer.text()
    return { status: answer.status, body: text === '' ? null : (JSON.parse(text) as unknown) }
  }
  const info = { instanceId: 'b', version: '2', labels: {}, weight: 1, user: 'me' }
  const { registry } = world.rpcCore.host('/')
  registry.attach({ ...info, services: ['shop.Orders'] }, { open: () => CLOSED_REQUEST }, 1)
  const said = { address: 'grpc://10.0.0.7:50051', labels: { zone: 'eu' }, ttlMs: 5000 }
  const put = await ask('PUT', '%2F/shop.Orders/a', said)
  assert.deepEqual(put, { status: 200, body: { ttlMs: 5000 } })
  const { body } = await ask('GET', '%2F?service=shop.Orders')
  const common = { service: 'shop.Orders', weight: 1, isServing: true }
  assert.deepEqual(body, [
    { ...common, instanceId: 'b', address: '', version: '2', labels: {} },
    { ...common, instanceId: 'a', address: said.address, version: '', labels: said.labels },
  ])
  assert.deepEqual((await ask('GET', '%2F?service=other')).body, [])
  for (const bad of [{}, { address: 'orders' }, { ...said, ttlMs: 1 }, { ...said, weight: 0 }]) {
    assert.equal((await ask('PUT', '%2F/shop.Orders/c', bad)).status, 400, JSON.stringify(bad))
  }
  assert.equal((await ask('PUT', '%2F/no name/c', said)).status, 400)
  assert.equal((await ask('GET', 'nowhere')).status, 404)
  assert.equal((await ask('DELETE', '%2F/shop.Orders/a')).status, 204)
  assert.equal((await ask('DELETE', '%2F/shop.Orders/a')).status, 404)
})
