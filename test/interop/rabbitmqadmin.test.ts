/** The commands of rabbitmqadmin, as Debian's rabbitmq-server package has it, against our broker. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { test } from 'node:test'
import { promisify } from 'node:util'
import { connect } from 'amqplib'
import { startManaged } from '../support/management-client.ts'
import { cacheFolder, onPath } from './driver.ts'

const PROGRAM = path.join(cacheFolder('rabbitmqadmin'), 'rabbitmqadmin')
const COMMAND_WITHIN_MS = 60_000

interface Admin {
  /** What a command wrote; rejects where it failed. */
  run(...args: readonly string[]): Promise<string>
  /** What `list` or `show` gives. */
  list(...args: readonly string[]): Promise<Record<string, unknown>[]>
}

function adminOf(python: string, port: number): Admin {
  const run = async (...args: readonly string[]): Promise<string> => {
    const where = ['--host', '127.0.0.1', '--port', String(port)]
    const options = { timeout: COMMAND_WITHIN_MS, maxBuffer: 16 * 1024 * 1024 }
    const { stdout } = await promisify(execFile)(python, [PROGRAM, ...where, ...args], options)
    return stdout
  }
  return {
    run,
    list: async (...args) => {
      const shown = await run('--format', 'raw_json', ...args)
      return JSON.parse(shown) as Record<string, unknown>[]
    },
  }
}

function namesOf(listed: readonly Record<string, unknown>[]): unknown[] {
  return listed.map(({ name }) => name)
}

test('rabbitmqadmin', { timeout: 240_000 }, async (context) => {
  const own = path.join(cacheFolder('python'), 'bin/python')
  const python = existsSync(own) ? own : onPath('python3')
  if (python === null || !existsSync(PROGRAM)) {
    context.skip(`rabbitmqadmin is absent: no ${PROGRAM} (test/interop/setup.sh fetches it)`)
    return
  }
  await using broker = await startManaged()
  const admin = adminOf(python, broker.port('http'))
  const folder = mkdtempSync(path.join(tmpdir(), 'waystation-rabbitmqadmin-'))
  context.after(() => rmSync(folder, { recursive: true, force: true }))

  await context.test('virtual hosts, users, permissions', async () => {
    assert.match(await admin.run('declare', 'vhost', 'name=shop'), /vhost declared/)
    await admin.run('declare', 'user', 'name=ada', 'password=s3cret', 'tags=administrator')
    const rights = ['configure=.*', 'write=.*', 'read=.*']
    await admin.run('declare', 'permission', 'vhost=shop', 'user=ada', ...rights)
    assert.deepEqual(namesOf(await admin.list('list', 'vhosts', 'name')), ['/', 'shop'])
    const users = await admin.list('list', 'users', 'name', 'tags')
    assert.deepEqual(namesOf(users), ['ada', 'guest'])
    const [permission] = await admin.list('list', 'permissions', 'user', 'vhost', 'write')
    assert.equal(permission?.['write'], '.*')
    const ada = ['-u', 'ada', '-p', 's3cret', '-V', 'shop']
    await admin.run(...ada, 'declare', 'queue', 'name=hers', 'durable=true')
    assert.deepEqual(namesOf(await admin.list(...ada, 'list', 'queues', 'name')), ['hers'])
    await assert.rejects(admin.run('-u', 'ada', '-p', 'wrong', 'list', 'queues'), /Access refused/)
    await admin.run('delete', 'permission', 'vhost=shop', 'user=ada')
    await admin.run('delete', 'user', 'name=ada')
  })

  await context.test('exchanges, queues, bindings', async () => {
    await admin.run('declare', 'exchange', 'name=events', 'type=topic')
    const args = '{"x-max-length": 100, "x-queue-type": "quorum"}'
    await admin.run('declare', 'queue', 'name=orders', 'durable=true', `arguments=${args}`)
    const ends = ['source=events', 'destination=orders']
    await admin.run('declare', 'binding', ...ends, 'routing_key=eu.#')
    const exchanges = await admin.list('list', 'exchanges', 'name', 'type')
    assert.ok(exchanges.some(({ name, type }) => name === 'events' && type === 'topic'))
    const [queue] = await admin.list('list', 'queues', 'name', 'type', 'arguments', 'messages')
    assert.equal(queue?.['type'], 'quorum')
    assert.equal(queue['messages'], 0)
    const bindings = await admin.list('list', 'bindings', 'source', 'properties_key')
    const bound = bindings.find(({ source }) => source === 'events')
    assert.equal(bound?.['properties_key'], 'eu.%23')
    const table = await admin.run('list', 'queues')
    assert.match(table, /orders/)
  })

  await context.test('publish, get, purge', async () => {
    const message = ['exchange=events', 'routing_key=eu.new', 'payload=hello']
    assert.match(await admin.run('publish', ...message), /Message published$/m)
    const unrouted = await admin.run('publish', 'exchange=events', 'routing_key=us', 'payload=x')
    assert.match(unrouted, /NOT routed/)
    const peek = ['get', 'queue=orders', 'count=5', 'ackmode=ack_requeue_true']
    const [seen] = await admin.list(...peek)
    assert.equal(seen?.['payload'], 'hello')
    const taken = await admin.list('get', 'queue=orders', 'ackmode=ack_requeue_false')
    assert.equal(taken[0]?.['redelivered'], true)
    await admin.run('publish', ...message)
    await admin.run('purge', 'queue', 'name=orders')
    assert.deepEqual(await admin.list(...peek), [])
  })

  await context.test('policies, parameters, limits', async () => {
    const definition = 'definition={"max-length": 5}'
    const policy = ['name=short', 'pattern=^tmp', definition, 'apply-to=queues', 'priority=2']
    await admin.run('declare', 'policy', ...policy)
    const [listed] = await admin.list('list', 'policies')
    assert.equal(listed?.['priority'], 2)
    assert.equal(listed['apply-to'], 'queues')
    await admin.run('declare', 'operator_policy', 'name=all', 'pattern=.*', definition)
    await admin.run('delete', 'operator_policy', 'name=all')
    await admin.run('declare', 'vhost_limit', 'vhost=/', 'name=max-queues', 'value=50')
    const [limit] = await admin.list('list', 'vhost_limits')
    assert.deepEqual(limit?.['value'], { 'max-queues': 50 })
  })

  await context.test('connections', async () => {
    const connection = await connect(`amqp://127.0.0.1:${broker.port('amqp')}`)
    const closed = new Promise((resolve) => connection.once('close', resolve))
    await connection.createChannel()
    const [listed] = await admin.list('list', 'connections', 'name', 'user')
    assert.equal(listed?.['user'], 'guest')
    assert.equal((await admin.list('list', 'channels')).length, 1)
    await admin.run('close', 'connection', `name=${String(listed['name'])}`)
    await closed
  })

  await context.test('overview and nodes', async () => {
    const [overview] = await admin.list('show', 'overview')
    assert.equal(overview?.['rabbitmq_version'], '4.0.5')
    assert.equal((await admin.list('list', 'nodes')).length, 1)
    assert.equal((await admin.list('list', 'consumers')).length, 0)
  })

  await context.test('export and import', async () => {
    const file = path.join(folder, 'definitions.json')
    await admin.run('export', file)
    const exported = JSON.parse(readFileSync(file, 'utf8')) as Record<string, unknown[]>
    assert.deepEqual(exported['bindings']?.length, 1)
    await admin.run(
      'delete',
      'binding',
      'source=events',
      'destination_type=queue',
      'destination=orders',
      'properties_key=eu.%23',
    )
    await admin.run('delete', 'queue', 'name=orders')
    await admin.run('delete', 'exchange', 'name=events')
    await admin.run('delete', 'policy', 'name=short')
    assert.match(await admin.run('import', file), /Uploaded definitions/)
    const again = path.join(folder, 'again.json')
    await admin.run('export', again)
    assert.deepEqual(JSON.parse(readFileSync(again, 'utf8')), exported)
    writeFileSync(file, '{"queues": 5}')
    await assert.rejects(admin.run('import', file), /queues/)
  })
})
