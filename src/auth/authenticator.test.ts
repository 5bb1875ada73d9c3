import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ScramClient } from '../../test/support/scram-client.ts'
import { ManualClock } from '../lib/clock.ts'
import { SeededRandom } from '../lib/random.ts'
import type { BrokerError } from '../model/errors.ts'
import { Authenticator } from './authenticator.ts'
import type { Credentials, Peer } from './credentials.ts'
import type { SaslOutcome } from './sasl-exchange.ts'
import { SCRAM_NAMES } from './scram-verifier.ts'
import type { AuthKv } from './user-records.ts'
import { UserStore } from './user-store.ts'

const LOCAL: Peer = { address: '127.0.0.1', loopback: true }
const REMOTE: Peer = { address: '192.0.2.7', loopback: false }
const REFUSED =
  'Login was refused using authentication mechanism PLAIN. For details see the broker logfile.'

const FORGETFUL_KV: AuthKv = {
  get: () => Promise.resolve(null),
  commit: () => Promise.resolve(1),
  list: () => Promise.resolve([]),
}

async function setup(): Promise<{ auth: Authenticator; users: UserStore; clock: ManualClock }> {
  const clock = new ManualClock()
  const scrypt = { log2Rounds: 4, blockSize: 8, parallelism: 1 }
  const users = await UserStore.open(FORGETFUL_KV, {
    random: new SeededRandom(1),
    scrypt,
    scramIterations: 4096,
  })
  await users.add('u', 'right', ['management'])
  return { auth: new Authenticator(users, { clock }), users, clock }
}

function plain(username: string, password: string): Credentials {
  return { mechanism: 'PLAIN', username, password }
}

async function refusalOf(login: Promise<unknown>): Promise<string> {
  const error = (await login.then(
    () => assert.fail('the login was not refused'),
    (reason: unknown) => reason,
  )) as BrokerError
  assert.equal(error.code, 'ACCESS_REFUSED')
  assert.match(error.message, /^Login was refused using authentication mechanism/)
  return (error.cause as Error).message
}

test('the right password makes a user, whatever the address', async () => {
  const { auth } = await setup()
  const user = { name: 'u', tags: ['management'], limits: {} }
  assert.deepEqual(await auth.login(plain('u', 'right'), LOCAL), user)
  assert.deepEqual(await auth.login(plain('u', 'right'), REMOTE), user)
})

test('a stranger learns nothing, the log learns why', async () => {
  const { auth } = await setup()
  await assert.rejects(auth.login(plain('u', 'wrong'), LOCAL), { message: REFUSED })
  await assert.rejects(auth.login(plain('nobody', 'x'), LOCAL), { message: REFUSED })
  assert.match(await refusalOf(auth.login(plain('u', 'wrong'), LOCAL)), /user 'u' - invalid/)
  assert.match(await refusalOf(auth.login(plain('n'.repeat(300), 'x'), LOCAL)), /300 characters/)
})

test('guest is for this machine, unless the operator says otherwise', async () => {
  const { auth, users, clock } = await setup()
  assert.equal((await auth.login(plain('guest', 'guest'), LOCAL)).name, 'guest')
  assert.match(
    await refusalOf(auth.login(plain('guest', 'guest'), REMOTE)),
    /user 'guest' can only connect via localhost/,
  )
  const open = new Authenticator(users, { clock, loopbackUsers: [] })
  assert.equal((await open.login(plain('guest', 'guest'), REMOTE)).name, 'guest')
})

test('a certificate is good for its own name and for a user that exists', async () => {
  const { auth, users } = await setup()
  const external = (username: string): Credentials => ({
    mechanism: 'EXTERNAL',
    username,
    password: null,
  })
  const certified = { ...REMOTE, certificateName: 'robot' }
  assert.match(await refusalOf(auth.login(external('robot'), certified)), /no user 'robot'/)
  await users.add('robot', null, [])
  assert.equal((await auth.login(external('robot'), certified)).name, 'robot')
  assert.match(await refusalOf(auth.login(external('u'), certified)), /no certificate for/)
  assert.match(await refusalOf(auth.login(external('robot'), REMOTE)), /no certificate for/)
})

test('guessing is slowed down, the right password too until it was seen', async () => {
  const { auth, clock } = await setup()
  for (let count = 0; count < 5; count++) {
    const failed = refusalOf(auth.login(plain('u', `guess-${count}`), REMOTE))
    clock.advance(10_000)
    await failed
  }
  let answered = false
  const login = auth.login(plain('u', 'right'), REMOTE).finally(() => {
    answered = true
  })
  await new Promise((resolve) => setTimeout(resolve, 20))
  assert.equal(answered, false)
  assert.equal((await auth.login(plain('u', 'right'), LOCAL)).name, 'u', 'elsewhere it goes on')
  clock.advance(1000)
  assert.equal((await login).name, 'u')
  assert.equal((await auth.login(plain('u', 'right'), REMOTE)).name, 'u', 'a success ends it')
})

test('what would wait too long is refused unseen', async () => {
  const { auth, clock } = await setup()
  for (let count = 0; count < 8; count++) {
    const failed = refusalOf(auth.login(plain('u', 'wrong'), REMOTE))
    clock.advance(10_000)
    await failed
  }
  const attempts = Array.from({ length: 50 }, () => refusalOf(auth.login(plain('u', 'x'), REMOTE)))
  const first = await Promise.race(attempts)
  assert.match(first, /failed too often and was not looked at/)
  clock.advance(60_000)
  const reasons = await Promise.all(attempts)
  assert.ok(reasons.filter((reason) => reason.includes('invalid credentials')).length <= 3)
})

async function scram(
  auth: Authenticator,
  { name = 'SCRAM-SHA-256', username = 'u', password = 'right', peer = LOCAL },
): Promise<SaslOutcome> {
  const exchange = auth.exchange(name, peer)!
  const client = new ScramClient(name, { username, password })
  const challenge = await exchange.step(client.first())
  assert.ok(challenge.kind === 'challenge')
  const outcome = await exchange.step(client.final(challenge.data))
  if (outcome.kind === 'done') assert.ok(client.trusts(outcome.data))
  return outcome
}

function causeOf(outcome: SaslOutcome): string {
  assert.ok(outcome.kind === 'failed' && !outcome.isMalformed)
  assert.match(outcome.error.message, /^Login was refused using authentication mechanism SCRAM/)
  return (outcome.error.cause as Error).message
}

test('an exchange of messages makes a user, by every mechanism', async () => {
  const { auth, users } = await setup()
  assert.deepEqual(auth.mechanisms(LOCAL), [...SCRAM_NAMES, 'PLAIN'])
  const user = { name: 'u', tags: ['management'], limits: {} }
  for (const name of SCRAM_NAMES) {
    const outcome = await scram(auth, { name })
    assert.deepEqual(outcome.kind === 'done' && outcome.user, user)
  }
  const plainOutcome = await auth.exchange('PLAIN', LOCAL)!.step(Buffer.from('\0u\0right'))
  assert.deepEqual(plainOutcome, { kind: 'done', user, data: Buffer.alloc(0) })
  const guest = { username: 'guest', password: 'guest' }
  assert.equal((await scram(auth, guest)).kind, 'done')
  assert.match(causeOf(await scram(auth, { ...guest, peer: REMOTE })), /only connect via localhost/)

  await users.add('robot', null, [])
  const certified = { ...REMOTE, certificateName: 'robot' }
  assert.ok(auth.mechanisms(certified).includes('EXTERNAL'))
  const external = await auth.exchange('EXTERNAL', certified)!.step(Buffer.alloc(0))
  assert.equal(external.kind === 'done' && external.user.name, 'robot')
  for (const name of ['EXTERNAL', 'AMQPLAIN', 'SCRAM-SHA-1', 'scram-sha-256', '']) {
    assert.equal(auth.exchange(name, LOCAL), null, name)
  }
})

test('an exchange that fails says why to the log only', async () => {
  const { auth, users } = await setup()
  assert.match(causeOf(await scram(auth, { password: 'x' })), /user 'u' - invalid/)
  assert.match(causeOf(await scram(auth, { username: 'nobody' })), /user 'nobody' - invalid/)
  const outcome = await auth.exchange('SCRAM-SHA-256', LOCAL)!.step(Buffer.from('hello'))
  assert.ok(outcome.kind === 'failed' && outcome.isMalformed)
  assert.equal(outcome.error.code, 'ACCESS_REFUSED')

  const exchange = auth.exchange('SCRAM-SHA-256', LOCAL)!
  const client = new ScramClient('SCRAM-SHA-256', { username: 'u', password: 'right' })
  const challenge = await exchange.step(client.first())
  assert.ok(challenge.kind === 'challenge')
  await users.remove('u')
  assert.match(causeOf(await exchange.step(client.final(challenge.data))), /changed meanwhile/)
})

test('proofs are slowed down like passwords, and count together', async () => {
  const { auth, clock } = await setup()
  for (let count = 0; count < 5; count++) {
    const failed =
      count % 2 === 0
        ? scram(auth, { password: `guess-${count}`, peer: REMOTE }).then(causeOf)
        : refusalOf(auth.login(plain('u', `guess-${count}`), REMOTE))
    let isOver = false
    const over = failed.then(() => {
      isOver = true
    })
    // Time goes on only while the attempt waits, so the last failure is not forgiven by it.
    while (!isOver) {
      await new Promise((resolve) => setImmediate(resolve))
      if (!isOver) clock.advance(250)
    }
    await over
  }
  let answered = false
  const login = scram(auth, { peer: REMOTE }).finally(() => {
    answered = true
  })
  await new Promise((resolve) => setTimeout(resolve, 20))
  assert.equal(answered, false)
  assert.equal((await scram(auth, {})).kind, 'done', 'elsewhere it goes on')
  clock.advance(1000)
  assert.equal((await login).kind, 'done')
})
