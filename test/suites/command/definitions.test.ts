import assert from 'node:assert/strict'
import { readFileSync, statSync } from 'node:fs'
import path from 'node:path'
import { after, test } from 'node:test'
import { CommandFolder } from '../../support/command.ts'

const folder = new CommandFolder()
after(() => folder[Symbol.dispose]())

/** Exported by a RabbitMQ, see spec/README.md. */
const FILE = path.join(import.meta.dirname, '../../../spec/rabbitmq/definitions.json')

test('definitions of a RabbitMQ go in, and come out for another broker', async () => {
  const [first, second] = [folder.freshDirectory(), folder.freshDirectory()]
  await using one = folder.start(first)
  await one.ready()
  const imported = await folder.run(['import', FILE, '--data', first])
  assert.equal(imported.code, 0, imported.stderr)
  assert.match(
    imported.stdout,
    /^4 users, 3 vhosts, 3 policies, 7 exchanges, 7 queues, 10 bindings/,
  )
  const file = `${folder.freshDirectory()}.json`
  const exported = await folder.run(['export', file, '--data', first, '--json'])
  assert.equal(exported.code, 0, exported.stderr)
  assert.equal((JSON.parse(exported.stdout) as { queues: number }).queues, 7)
  assert.equal(statSync(file).mode & 0o077, 0, 'others may read the hashes')

  await using two = folder.start(second)
  await two.ready()
  const input = readFileSync(file, 'utf8')
  const again = await folder.run(['import', '-', '--data', second], { input })
  assert.equal(again.code, 0, again.stderr)
  const shown = await folder.run(['export', '--data', second])
  assert.deepEqual(JSON.parse(shown.stdout), JSON.parse(input))
  const shop = await folder.run(['export', '--data', second, '--vhost', 'shop'])
  assert.match(shop.stdout, /"single_virtual_host"/)
})

test('what cannot be imported is refused with the reason', async () => {
  const data = folder.freshDirectory()
  await using command = folder.start(data)
  await command.ready()
  const refuse = async (input: string, reason: RegExp, code: number): Promise<void> => {
    const refused = await folder.run(['import', '-', '--data', data], { input })
    assert.match(refused.stderr, reason)
    assert.equal(refused.code, code)
  }
  await refuse('{', /- is not JSON/, 2)
  await refuse('{"queues":[{"name":"q","vhost":"none"}]}', /create virtual host "none" prior/, 1)
  const absent = await folder.run(['import', '/nowhere/file.json', '--data', data])
  assert.match(absent.stderr, /cannot be read/)
  assert.equal(absent.code, 2)
})
