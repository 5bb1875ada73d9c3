/** What the listeners for calls refuse: by gRPC and Connect as others speak them, and by our own frames. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { request } from 'node:https'
import { test } from 'node:test'
import {
  type ChannelCredentials,
  Client,
  credentials,
  Metadata,
  type ServiceError,
} from '@grpc/grpc-js'
import { z } from 'zod'
import { connectChannel, createClient, rpc, service } from '../../../src/client/index.ts'
import {
  makeAuthority,
  makeCertificate,
  makeExpiredCertificate,
  type TestCertificate,
} from '../../support/certificates.ts'
import { ADMIN, put, type SecuredBroker, securedBroker } from './secured-broker.ts'

const LISTEN = { rpc: 0, rpcs: 0, 'rpc-ws': 0, 'rpc-wss': 0 } as const
const PATH = '/nobody.Serves/This'
/** Whoever is let in hears of nothing but the provider that is not there. */
const LET_IN = 'UNAVAILABLE no provider of nobody.Serves is registered'
const WRONG = 'UNAUTHENTICATED Login was refused using authentication mechanism PLAIN'

interface Login {
  readonly user?: string
  readonly password?: string
  readonly certificate?: TestCertificate
}

/** Makes a call and says what came of it: the status and its words. */
type Caller = (world: SecuredBroker, login: Login) => Promise<string>

const GRPC_CODES: Readonly<Record<number, string>> = {
  7: 'PERMISSION_DENIED',
  14: 'UNAVAILABLE',
  16: 'UNAUTHENTICATED',
}

function basic({ user, password }: Login): string | null {
  if (user === undefined) return null
  return `Basic ${Buffer.from(`${user}:${password ?? ''}`).toString('base64')}`
}

function grpc(listener: 'rpc' | 'rpcs'): Caller {
  return async ({ broker, authority }, login) => {
    const pem = (text: string | undefined): Buffer | null =>
      text === undefined ? null : Buffer.from(text)
    const { certificate } = login
    const secured: ChannelCredentials =
      listener === 'rpc'
        ? credentials.createInsecure()
        : credentials.createSsl(
            pem(authority.certPem),
            pem(certificate?.keyPem),
            pem(certificate?.certPem),
          )
    const client = new Client(`localhost:${broker.port(listener)}`, secured)
    const metadata = new Metadata()
    const authorization = basic(login)
    if (authorization !== null) metadata.set('authorization', authorization)
    const bytes = (value: Buffer): Buffer => value
    try {
      return await new Promise<string>((resolve) => {
        const done = (error: ServiceError | null): void => {
          resolve(`${GRPC_CODES[error?.code ?? -1] ?? error?.code} ${error?.details}`)
        }
        client.makeUnaryRequest(PATH, bytes, bytes, Buffer.alloc(0), metadata, done)
      })
    } finally {
      client.close()
    }
  }
}

function connect(listener: 'rpc' | 'rpcs'): Caller {
  return async ({ broker, authority }, login) => {
    const authorization = basic(login)
    const headers = {
      'content-type': 'application/json',
      ...(authorization === null ? {} : { authorization }),
    }
    const port = broker.port(listener)
    if (listener === 'rpc') {
      const options = { method: 'POST', headers, body: '{}' }
      return saidIn(await (await fetch(`http://localhost:${port}${PATH}`, options)).text())
    }
    const { certificate } = login
    const asked = request(`https://localhost:${port}${PATH}`, {
      ...{ method: 'POST', headers, agent: false, ca: authority.certPem },
      ...(certificate === undefined ? {} : { cert: certificate.certPem, key: certificate.keyPem }),
    })
    asked.end('{}')
    const [answer] = (await once(asked, 'response')) as [NodeJS.ReadableStream]
    let text = ''
    for await (const part of answer) text += String(part)
    return saidIn(text)
  }
}

function saidIn(json: string): string {
  const { code, message } = JSON.parse(json) as { readonly code: string; readonly message: string }
  return `${code.toUpperCase()} ${message}`
}

const Text = z.object({ text: z.string() })
const Nobody = service('nobody.Serves', { This: rpc.unary({ in: Text, out: Text }) })

/** Our own frames, which nobody else speaks. */
function frames(listener: 'rpc' | 'rpcs' | 'rpc-ws' | 'rpc-wss'): Caller {
  return async ({ broker, authority }, { user, password, certificate }) => {
    const tls = {
      ca: authority.certPem,
      serverName: 'localhost',
      ...(certificate === undefined ? {} : { cert: certificate.certPem, key: certificate.keyPem }),
    }
    await using channel = connectChannel(broker.url(listener), {
      ...(user === undefined ? {} : { user }),
      ...(password === undefined ? {} : { password }),
      ...(listener.endsWith('s') && listener !== 'rpc-ws' ? { tls } : {}),
    })
    const client = createClient(Nobody, channel, { policy: { retry: false } })
    return await client.This({ text: '' }).then(
      () => 'answered',
      (error: unknown) => {
        const { code, message } = error as { readonly code: string; readonly message: string }
        return `${code} ${message}`
      },
    )
  }
}

const CALLERS: Readonly<Record<string, Caller>> = {
  'gRPC on rpc': grpc('rpc'),
  'gRPC on rpcs': grpc('rpcs'),
  'Connect on rpc': connect('rpc'),
  'Connect on rpcs': connect('rpcs'),
  'frames on rpc': frames('rpc'),
  'frames on rpcs': frames('rpcs'),
  'frames on rpc-ws': frames('rpc-ws'),
  'frames on rpc-wss': frames('rpc-wss'),
}
const OVER_TLS = Object.keys(CALLERS).filter((name) => /rpcs|wss/.test(name))

const RIGHT = { user: ADMIN.name, password: ADMIN.password }

test('every way to make a call refuses wrong passwords, unknown users and nobody with the same words', async (t) => {
  const world = await securedBroker(t, { listen: LISTEN })
  for (const [name, call] of Object.entries(CALLERS)) {
    const of = async (login: Login): Promise<string> => call(world, login)
    const right = await of(RIGHT)
    assert.ok(right.startsWith(LET_IN), `${name}: ${right}`)
    const wrong = await of({ user: ADMIN.name, password: 'wrong' })
    assert.ok(wrong.startsWith(WRONG), `${name}: ${wrong}`)
    const nobody = await of({ user: `no-${name.replaceAll(' ', '-')}`, password: ADMIN.password })
    assert.equal(nobody, wrong, name)
    assert.equal(await of({ user: ADMIN.name, password: '' }), wrong, name)
  }
  // `guest` has no password that everybody knows here; more tries would have to wait.
  for (const name of ['gRPC on rpc', 'Connect on rpc', 'frames on rpc-ws']) {
    assert.match(await CALLERS[name]!(world, {}), /^UNAUTHENTICATED /, name)
  }
})

test('every way to make a call refuses who may not enter the virtual host', async (t) => {
  const world = await securedBroker(t, { listen: LISTEN })
  const login = { user: 'outsider', password: 'outsider-password-1' }
  await put(world.broker, 'users/outsider', { password: login.password, tags: ['management'] })
  for (const [name, call] of Object.entries(CALLERS)) {
    assert.match(await call(world, login), /^PERMISSION_DENIED /, name)
  }
})

test('every way to make a call over TLS refuses foreign and expired certificates', async (t) => {
  const world = await securedBroker(t, { listen: LISTEN })
  const strangers = [
    makeCertificate(makeAuthority('Somebody else'), [['CN', ADMIN.name]]),
    makeExpiredCertificate(world.authority, ADMIN.name),
  ]
  for (const name of OVER_TLS) {
    const call = CALLERS[name]!
    for (const certificate of strangers) {
      // With the right password: the certificate alone is what is wrong.
      const said = await call(world, { ...RIGHT, certificate }).catch(String)
      assert.ok(!said.startsWith(LET_IN), `${name}: ${said}`)
    }
    const own = makeCertificate(world.authority, [['CN', ADMIN.name]])
    // Our own client names a user; others are whom their certificate names.
    const login = name.startsWith('frames') ? RIGHT : {}
    assert.ok((await call(world, { ...login, certificate: own })).startsWith(LET_IN), name)
  }
})
