import assert from 'node:assert/strict'
import { createServer, type AddressInfo } from 'node:net'
import { after, test } from 'node:test'
import { connect } from 'amqplib'
import { CommandFolder } from '../../support/command.ts'

const folder = new CommandFolder()
after(() => folder[Symbol.dispose]())

test('commands find the broker by its data directory and change it', async () => {
  const data = folder.freshDirectory()
  await using command = folder.start(data)
  const { listeners } = await command.ready()
  const at = ['--data', data]
  const ask = async (...args: readonly string[]): Promise<unknown> => {
    const { code, stdout, stderr } = await folder.run([...args, ...at, '--json'])
    assert.equal(code, 0, stderr)
    return JSON.parse(stdout)
  }
  const connection = await connect(`amqp://${listeners['amqp']}`)
  const channel = await connection.createConfirmChannel()
  await channel.assertQueue('orders')
  channel.sendToQueue('orders', Buffer.from('x'))
  await channel.waitForConfirms()

  const status = (await ask('status')) as { ready: number; connections: number }
  assert.equal(status.ready, 1)
  assert.equal(status.connections, 1)
  const [queue] = (await ask('queues', 'list')) as { name: string; ready: number }[]
  assert.equal(queue?.name, 'orders')
  assert.equal(queue.ready, 1)
  const table = await folder.run(['queues', ...at])
  assert.match(table.stdout, /^vhost {2}name {4}type.*\n\/ {6}orders {2}queue/)
  const [client] = (await ask('connections', 'list')) as { id: number; user: string }[]
  assert.equal(client?.user, 'guest')
  assert.deepEqual(await ask('purge', 'orders'), { messages: 1 })
  assert.deepEqual(await ask('delete-queue', 'orders', '--if-empty'), { messages: 0 })
  await connection.close()

  await ask('add-vhost', 'v')
  await ask('set-policy', '--vhost', 'v', 'p', '^a', '{"max-length": 5}', '--priority', '2')
  const [policy] = (await ask('policies', 'list', '--vhost', 'v')) as { priority: number }[]
  assert.equal(policy?.priority, 2)
  const added = await folder.run(['add-user', 'bob', ...at], { input: 'the first of bob\nrest' })
  assert.equal(added.code, 0, added.stderr)
  await ask('set-permissions', '--vhost', 'v', 'bob', '.*', '.*', '.*')
  const bob = await connect(
    `amqp://bob:${encodeURIComponent('the first of bob')}@${listeners['amqp']}/v`,
  )
  await bob.close()
  const changed = await folder.run(['change-password', 'bob', ...at], {
    input: 'the second of bob\n',
  })
  assert.equal(changed.code, 0, changed.stderr)
  await assert.rejects(
    connect(`amqp://bob:the%20first%20of%20bob@${listeners['amqp']}/v`),
    /ACCESS[-_]REFUSED/,
  )
  await ask('set-tags', 'bob', 'administrator')
  const environment = { WAYSTATION_PASSWORD: 'the second of bob' }
  const url = `http://${listeners['http']}`
  const byUser = await folder.run(['users', 'list', '--url', url, '--user', 'bob'], { environment })
  assert.match(byUser.stdout, /^name +tags +limits\n(guest|bob) +administrator +\{\}\n/)
  await ask('clear-permissions', '--vhost', 'v', 'bob')
  await ask('delete-policy', '--vhost', 'v', 'p')
  await ask('delete-user', 'bob')
  await ask('delete-vhost', 'v')
  for (const noun of [
    'exchanges',
    'bindings',
    'vhosts',
    'permissions',
    'subscriptions',
    'transactions',
  ]) {
    assert.ok(Array.isArray(await ask(noun, 'list')), noun)
  }
  command.kill('SIGTERM')
  const { stdout } = await command.ended
  assert.doesNotMatch(stdout, /the first of bob|the second of bob/)
})

test('a command that fails says why and what to do', async () => {
  const data = folder.freshDirectory()
  const none = await folder.run(['status', '--data', data])
  assert.equal(none.code, 69)
  assert.match(
    none.stderr,
    /^waystation: no broker .* runs on the data directory .*\n.*start --data/,
  )
  const nobody = `http://127.0.0.1:${await freePort()}`
  const refused = await folder.run(['status', '--url', nobody, '--user', 'guest'])
  assert.equal(refused.code, 69)
  assert.equal(
    refused.stderr,
    `waystation: the broker at ${nobody} cannot be reached: nothing listens there\n`,
  )
  assert.equal((await folder.run(['status', '--url', 'localhost'])).code, 2)
  await using command = folder.start(data, '--log-level', 'silent')
  const { listeners } = await command.ready()
  const missing = await folder.run(['purge', 'nope', '--data', data])
  assert.deepEqual(missing, {
    code: 1,
    signal: null,
    stdout: '',
    stderr: "waystation: no queue 'nope' in vhost '/'\n",
  })
  const wrong = await folder.run(
    ['users', '--url', `http://${listeners['http']}`, '--user', 'guest'],
    {
      input: 'wrong\n',
    },
  )
  assert.equal(wrong.code, 77)
  assert.equal(wrong.stderr, 'waystation: the user name or the password is wrong\n')
  assert.equal((await folder.run(['add-user', 'x', '--data', data])).code, 2)
})

/** One that was free a moment ago. */
async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}
