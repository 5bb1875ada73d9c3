import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { ScramClient } from '../../test/support/scram-client.ts'
import { SCRAM_MESSAGE_BYTES_MAX } from './limits.ts'
import type { SaslStep } from './sasl.ts'
import { Scram, type ScramSecrets } from './scram.ts'
import {
  deriveScramVerifier,
  fakeScramVerifier,
  formatScramVerifier,
  parseScramVerifier,
  SCRAM_NAMES,
  type ScramName,
  type ScramVerifier,
} from './scram-verifier.ts'

/** RFC 7677, section 3. */
const VECTOR = {
  clientFirst: 'n,,n=user,r=rOprNGfwEbeRWgbNEkqO',
  serverNonce: '%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0',
  serverFirst:
    'r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096',
  clientFinal:
    'c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,' +
    'p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=',
  serverFinal: 'v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=',
}
const SALT = Buffer.from('W22ZaJ0SNY7soEsUEjb6gQ==', 'base64')

async function pencil(mechanism: ScramName = 'SCRAM-SHA-256'): Promise<ScramVerifier> {
  return deriveScramVerifier(mechanism, 'pencil', { salt: SALT, iterations: 4096 })
}

function secretsOf(verifier: ScramVerifier, isStill = true): ScramSecrets {
  return {
    scramSecret: (_mechanism, name) => ({
      verifier,
      reasonAgainst: name === 'nobody' ? 'nobody there' : null,
    }),
    isScramSecretOf: () => isStill,
  }
}

function scram(verifier: ScramVerifier, isStill = true): Scram {
  return new Scram(verifier.mechanism, secretsOf(verifier, isStill), VECTOR.serverNonce)
}

function say(mechanism: Scram, text: string): SaslStep {
  return mechanism.respond(Buffer.from(text))
}

/** What the log would say; null: it is a login. */
function reasonOf(step: SaslStep): string | null {
  assert.ok(step.kind === 'login' && 'reasonAgainst' in step.credentials)
  return step.credentials.reasonAgainst()
}

test('the example of RFC 7677 runs as printed', async () => {
  const mechanism = scram(await pencil())
  const challenge = say(mechanism, VECTOR.clientFirst)
  assert.ok(challenge.kind === 'challenge')
  assert.equal(challenge.data.toString(), VECTOR.serverFirst)
  const last = say(mechanism, VECTOR.clientFinal)
  assert.equal(reasonOf(last), null)
  assert.ok(last.kind === 'login')
  assert.equal(last.credentials.username, 'user')
  assert.equal(last.success?.toString(), VECTOR.serverFinal)
  assert.equal(say(mechanism, VECTOR.clientFinal).kind, 'malformed', 'once only')
})

test('both hashes prove the password to both sides, whatever the name and the flag', async () => {
  for (const name of SCRAM_NAMES) {
    const verifier = await pencil(name)
    for (const username of ['user', 'a,b=c', '=2C', 'ü 😀']) {
      for (const header of ['n,,', 'y,,']) {
        const mechanism = scram(verifier)
        const client = new ScramClient(name, { username, password: 'pencil', header })
        const challenge = mechanism.respond(client.first())
        assert.ok(challenge.kind === 'challenge', username)
        const last = mechanism.respond(client.final(challenge.data))
        assert.equal(reasonOf(last), null)
        assert.ok(last.kind === 'login' && last.success !== undefined)
        assert.equal(last.credentials.username, username)
        assert.ok(client.trusts(last.success))
      }
    }
  }
})

test('a wrong proof, an unknown user and a changed password end the same, the log tells', async () => {
  const verifier = await pencil()
  const run = (username: string, password: string, isStill = true): string | null => {
    const mechanism = scram(verifier, isStill)
    const client = new ScramClient('SCRAM-SHA-256', { username, password })
    const challenge = mechanism.respond(client.first())
    assert.ok(challenge.kind === 'challenge')
    return reasonOf(mechanism.respond(client.final(challenge.data)))
  }
  assert.equal(run('user', 'pencil'), null)
  assert.match(run('user', 'pencils')!, /'user' - invalid credentials/)
  assert.equal(run('nobody', 'pencil'), 'nobody there')
  assert.match(run('user', 'pencil', false)!, /changed meanwhile/)
})

test('a peer that starts with nothing is asked once', async () => {
  const mechanism = scram(await pencil())
  assert.deepEqual(say(mechanism, ''), { kind: 'challenge', data: Buffer.alloc(0) })
  assert.equal(say(mechanism, VECTOR.clientFirst).kind, 'challenge')
  assert.equal(reasonOf(say(mechanism, VECTOR.clientFinal)), null)
  const silent = scram(await pencil())
  say(silent, '')
  assert.equal(say(silent, '').kind, 'malformed')
})

test('what is no first message is malformed', async () => {
  const verifier = await pencil()
  const bad = [
    'n,,',
    'n,,n=user',
    'n,,r=abc,n=user',
    'n=user,r=abc',
    'x,,n=user,r=abc',
    'p=tls-unique,,n=user,r=abc',
    'n,,m=must,n=user,r=abc',
    'n,,n=,r=abc',
    'n,,n=a=b,r=abc',
    'n,,n=a=2c,r=abc',
    'n,,n=user,r=',
    'n,,n=user,r=a b',
    'n,,n=user,r=é',
    'n,a=other,n=user,r=abc',
    'n,user,n=user,r=abc',
    'n,,n=us\0er,r=abc',
    `n,,n=user,r=${'a'.repeat(SCRAM_MESSAGE_BYTES_MAX)}`,
  ]
  for (const text of bad) {
    const mechanism = scram(verifier)
    assert.equal(say(mechanism, text).kind, 'malformed', text)
    assert.equal(say(mechanism, VECTOR.clientFirst).kind, 'malformed', 'no second try')
  }
  const good = ['n,a=user,n=user,r=abc', 'n,,n=user,r=abc,tokenauth=true', 'y,,n=user,r=~!+-']
  for (const text of good) assert.equal(say(scram(verifier), text).kind, 'challenge', text)
  assert.equal(scram(verifier).respond(Buffer.of(0xff)).kind, 'malformed')
  assert.equal(scram(verifier).respond(new Map()).kind, 'malformed')
})

test('a final message that differs in any part is no login', async () => {
  const verifier = await pencil()
  const { clientFinal } = VECTOR
  const malformed = [
    '',
    VECTOR.clientFirst,
    clientFinal.replace('c=biws', 'c=eSws'),
    clientFinal.replace('c=biws', 'c='),
    clientFinal.replace('hvYD', 'hvYE'),
    clientFinal.replace(VECTOR.serverNonce, ''),
    clientFinal.replace(/,p=.*/, ''),
    `${clientFinal},x=1`,
    clientFinal.replace('dHzb', 'dH b'),
  ]
  for (const text of malformed) {
    const mechanism = scram(verifier)
    say(mechanism, VECTOR.clientFirst)
    assert.equal(say(mechanism, text).kind, 'malformed', text)
  }
  const wrong = [
    clientFinal.replace('dHzb', 'dHzc'),
    clientFinal.replace('ndVQ=', ''),
    clientFinal.replace(',p=', ',x=1,p='),
  ]
  for (const text of wrong) {
    const mechanism = scram(verifier)
    say(mechanism, VECTOR.clientFirst)
    assert.match(reasonOf(say(mechanism, text))!, /invalid credentials/, text)
  }
})

// A peer may send any text at any time.
test('no message makes it throw, and none without the password logs in', async () => {
  const verifier = await pencil()
  const part = fc.constantFrom(
    'n,,',
    'y,,',
    'n=user',
    'r=x',
    ',',
    'c=biws',
    'p=AAAA',
    'm=1',
    '=',
    'a=',
  )
  const message = fc.oneof(
    fc.array(part).map((parts) => parts.join('')),
    fc.string(),
  )
  fc.assert(
    fc.property(fc.array(message, { maxLength: 3 }), (messages) => {
      const mechanism = scram(verifier)
      for (const text of messages) {
        const step = say(mechanism, text)
        if (step.kind === 'login') assert.notEqual(reasonOf(step), null)
      }
    }),
  )
})

test('a verifier is stored as RFC 5803 writes it, and nothing else is read', async () => {
  const verifier = await pencil()
  const stored = formatScramVerifier(verifier)
  assert.equal(
    stored,
    'SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$' +
      'WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=',
  )
  assert.deepEqual(parseScramVerifier('SCRAM-SHA-256', stored), verifier)
  const bad = [
    '',
    stored.slice(0, -9),
    stored.replace('4096', '4095'),
    stored.replace('4096', '1000001'),
    stored.replace('256', '512'),
    stored.replace('$W', '$'),
  ]
  for (const text of bad) {
    assert.throws(() => parseScramVerifier('SCRAM-SHA-256', text), /cannot be read/, text)
  }
})

test('a fake verifier is the same for a name and a secret, and looks like a real one', async () => {
  const real = await pencil()
  const known = { secret: Buffer.alloc(32, 7), iterations: 4096 }
  const fake = fakeScramVerifier('SCRAM-SHA-256', 'user', known)
  assert.deepEqual(fakeScramVerifier('SCRAM-SHA-256', 'user', known), fake)
  assert.equal(fake.salt.length, real.salt.length)
  assert.equal(fake.storedKey.length, real.storedKey.length)
  const others = [
    fakeScramVerifier('SCRAM-SHA-256', 'user2', known),
    fakeScramVerifier('SCRAM-SHA-512', 'user', known),
    fakeScramVerifier('SCRAM-SHA-256', 'user', { ...known, secret: Buffer.alloc(32, 8) }),
  ]
  for (const other of others) assert.notDeepEqual(other.salt, fake.salt)
})
