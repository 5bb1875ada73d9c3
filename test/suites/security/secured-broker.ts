/** A broker with every listener there is, and unmodified clients that try to get in. */
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { request } from 'node:https'
import { tmpdir } from 'node:os'
import path from 'node:path'
import type { TestContext } from 'node:test'
import amqplib, { type ChannelModel } from 'amqplib'
import { Kafka, type KafkaConfig, logLevel, type SASLOptions } from 'kafkajs'
import { connectAsync, type IClientOptions, type MqttClient } from 'mqtt'
import { type RunningBroker, startBroker, type StartOptions } from '../../../src/server/index.ts'
import { keepOutput, noteSecret } from '../../../tools/secret-scan.ts'
import {
  makeAuthority,
  makeCertificate,
  type TestAuthority,
  type TestCertificate,
} from '../../support/certificates.ts'

export const ADMIN: { readonly name: string; readonly password: string } = {
  name: 'root',
  password: 'the-password-of-root-1',
}

type PlainName = 'amqp' | 'mqtt' | 'mqtt-ws' | 'kafka' | 'http'
type TlsName = 'amqps' | 'mqtts' | 'mqtt-wss' | 'kafkas' | 'https'

/** Each protocol with its listener over TLS. */
export const TLS_LISTENERS: readonly (readonly [PlainName, TlsName])[] = [
  ['amqp', 'amqps'],
  ['mqtt', 'mqtts'],
  ['mqtt-ws', 'mqtt-wss'],
  ['kafka', 'kafkas'],
  ['http', 'https'],
]

export type ListenerName = PlainName | TlsName

export const LISTENERS: readonly ListenerName[] = TLS_LISTENERS.flat()

export interface SecuredBroker {
  readonly broker: RunningBroker
  readonly authority: TestAuthority
  readonly folder: string
  /** Everything that was logged, a line each. */
  readonly lines: string[]
  readonly clients: Clients
}

export interface Login {
  readonly user?: string
  readonly password?: string
  /** Shown to listeners over TLS. */
  readonly certificate?: TestCertificate
  /** In the place of what the protocol does with user and password. */
  readonly mechanism?: string
  readonly host?: string
}

export async function securedBroker(
  t: TestContext,
  options: Partial<StartOptions> = {},
): Promise<SecuredBroker> {
  const folder = mkdtempSync(path.join(tmpdir(), 'waystation-secured-'))
  const authority = makeAuthority('Test authority')
  const file = (name: string, text: string): string => {
    const at = path.join(folder, name)
    writeFileSync(at, text)
    return at
  }
  const server = makeCertificate(authority, [['CN', 'first']], ['localhost', '127.0.0.1'])
  const lines: string[] = []
  const line = (fields: object, text: string): void => {
    lines.push(`${text} ${shown(fields)}`)
    keepOutput('secured', `${lines.at(-1)}\n`)
  }
  noteSecret(ADMIN.password)
  const { tls, listen, ...others } = options
  const broker = await startBroker({
    listen: { ...Object.fromEntries(LISTENERS.map((name) => [name, 0])), ...listen },
    tls: {
      certFile: file('cert.pem', server.certPem),
      keyFile: file('key.pem', server.keyPem),
      caFile: file('ca.pem', authority.certPem),
      clientCertificate: 'request',
      ...tls,
    },
    defaultUser: ADMIN,
    log: { debug: line, info: line, warn: line, error: line },
    ...others,
  })
  const clients = new Clients(broker, authority)
  t.after(async () => {
    await keepDumps(broker)
    await clients.close()
    await broker.close({ timeoutMs: 0 })
    rmSync(folder, { recursive: true, force: true })
  })
  return { broker, authority, folder, lines, clients }
}

/** Whatever an administrator can read of it. */
const DUMPS: readonly string[] = [
  '/metrics',
  '/v1/status',
  '/v1/users',
  '/v1/connections',
  '/v1/permissions',
  '/v1/vhosts',
  '/api/overview',
  '/api/connections',
  '/api/users',
  '/api/definitions',
]

async function keepDumps(broker: RunningBroker): Promise<void> {
  const value = Buffer.from(`${ADMIN.name}:${ADMIN.password}`).toString('base64')
  for (const where of DUMPS) {
    // Some tests have other listeners, or stop the broker themselves.
    const answer = await fetch(new URL(where, broker.url('http')), {
      headers: { authorization: `Basic ${value}` },
    }).catch(() => null)
    keepOutput('dumps', `${where} ${(await answer?.text()) ?? 'no answer'}\n`)
  }
}

function shown(fields: object): string {
  return JSON.stringify(fields, (_key, value: unknown) =>
    value instanceof Error ? `${value.message} ${causeOf(value)}` : value,
  )
}

function causeOf({ cause }: Error): string {
  return cause instanceof Error ? cause.message : ''
}

/** What clients of all protocols do to get in; each rejects with what its library says. */
export class Clients {
  readonly #broker: RunningBroker
  readonly #authority: TestAuthority
  readonly #closers: (() => Promise<unknown>)[] = []

  constructor(broker: RunningBroker, authority: TestAuthority) {
    this.#broker = broker
    this.#authority = authority
  }

  async close(): Promise<void> {
    for (const close of this.#closers.splice(0)) await close().catch(() => undefined)
  }

  /** Connects, logs in, and asks for something that needs it. */
  async logIn(listener: ListenerName, login: Login): Promise<void> {
    if (listener.startsWith('amqp')) await this.amqp(listener, login)
    else if (listener.startsWith('mqtt')) await this.mqtt(listener, login)
    else if (listener.startsWith('kafka')) await this.kafkaLogin(listener, login)
    else await this.http(listener, login)
  }

  async amqp(listener: ListenerName, login: Login, vhost = '/'): Promise<ChannelModel> {
    const { user = 'guest', password = 'guest', mechanism } = login
    noteSecret(password)
    const isTls = listener === 'amqps'
    const credentials =
      mechanism === undefined
        ? amqplib.credentials.plain(user, password)
        : { mechanism, response: () => Buffer.alloc(0) }
    const connection = await amqplib.connect(
      {
        protocol: isTls ? 'amqps' : 'amqp',
        hostname: login.host ?? '127.0.0.1',
        port: this.#broker.port(listener),
        vhost,
      },
      { ...(isTls ? this.#tls(login) : {}), credentials },
    )
    connection.on('error', () => undefined)
    this.#closers.push(async () => connection.close())
    return connection
  }

  async mqtt(listener: ListenerName, login: Login, more: IClientOptions = {}): Promise<MqttClient> {
    const { user, password, mechanism } = login
    noteSecret(password ?? '')
    const url = new URL(this.#broker.url(listener as 'mqtt'))
    url.hostname = login.host ?? '127.0.0.1'
    const client = await connectAsync(
      url.href,
      {
        protocolVersion: 5,
        reconnectPeriod: 0,
        ...(url.protocol === 'wss:' || url.protocol === 'mqtts:' ? this.#tls(login) : {}),
        ...(user === undefined ? {} : { username: user }),
        ...(password === undefined ? {} : { password }),
        ...(mechanism === undefined ? {} : { properties: { authenticationMethod: mechanism } }),
        ...more,
      },
      false,
    )
    client.on('error', () => undefined)
    this.#closers.push(async () => client.endAsync(true))
    return client
  }

  kafka(listener: ListenerName, login: Login, more: Partial<KafkaConfig> = {}): Kafka {
    const { user = 'guest', password = 'guest', mechanism } = login
    noteSecret(password)
    const isExternal = login.certificate !== undefined && login.user === undefined
    const sasl =
      mechanism === undefined
        ? { mechanism: 'plain', username: user, password }
        : { mechanism, authenticationProvider: () => ({ authenticate: async () => undefined }) }
    return new Kafka({
      brokers: [`${login.host ?? '127.0.0.1'}:${this.#broker.port(listener)}`],
      ...(listener === 'kafkas' ? { ssl: this.#tls(login) } : {}),
      ...(isExternal ? {} : { sasl: sasl as SASLOptions }),
      retry: { retries: 0 },
      logLevel: logLevel.NOTHING,
      ...more,
    })
  }

  async kafkaLogin(listener: ListenerName, login: Login): Promise<void> {
    const admin = this.kafka(listener, login).admin()
    this.#closers.push(async () => admin.disconnect())
    await admin.connect()
    await admin.listTopics()
  }

  /** Rejects with status and body unless it is let in. */
  async http(listener: ListenerName, login: Login, path = '/v1/status'): Promise<string> {
    const { user = 'guest', password = 'guest', mechanism = 'Basic' } = login
    noteSecret(password)
    const value = Buffer.from(`${user}:${password}`).toString('base64')
    const headers = { authorization: `${mechanism} ${value}` }
    const url = new URL(path, this.#broker.url(listener))
    url.hostname = login.host ?? '127.0.0.1'
    if (listener === 'http') {
      const answer = await fetch(url, { headers })
      const text = await answer.text()
      if (!answer.ok) throw new Error(`${answer.status} ${text}`)
      return text
    }
    const asked = request(url, { ...this.#tls(login), headers, agent: false })
    asked.end()
    const [answer] = (await once(asked, 'response')) as [NodeJS.ReadableStream & Status]
    let text = ''
    for await (const part of answer) text += String(part)
    if (answer.statusCode !== 200) throw new Error(`${answer.statusCode} ${text}`)
    return text
  }

  #tls({ certificate }: Login): { ca: string; servername: string; cert?: string; key?: string } {
    return {
      ca: this.#authority.certPem,
      servername: 'localhost',
      ...(certificate === undefined ? {} : { cert: certificate.certPem, key: certificate.keyPem }),
    }
  }
}

interface Status {
  readonly statusCode?: number
}

/** Changes users and permissions over HTTP, as an administrator. */
export async function put(broker: RunningBroker, where: string, body: object): Promise<void> {
  if ('password' in body && typeof body.password === 'string') noteSecret(body.password)
  await change(broker, { method: 'PUT', path: `/v1/${where}`, body })
}

/** As the administrator, by either HTTP API. */
export async function change(
  broker: RunningBroker,
  { method, path, body }: { readonly method: string; readonly path: string; readonly body: object },
): Promise<void> {
  const value = Buffer.from(`${ADMIN.name}:${ADMIN.password}`).toString('base64')
  const answer = await fetch(`${broker.url('http')}${path}`, {
    method,
    headers: { authorization: `Basic ${value}`, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })
  if (!answer.ok) throw new Error(`${answer.status} ${await answer.text()}`)
}
