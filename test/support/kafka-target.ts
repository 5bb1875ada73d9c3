/**
 * The broker that a Kafka test file talks to: a Waystation of its own, or the one that
 * `WAYSTATION_TEST_TARGET` names, such as a real Kafka, by which the tests themselves are proven:
 * `WAYSTATION_TEST_TARGET=$(tools/kafka.sh url DATADIR)`.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'

import { BrokerProcess } from './broker-process.ts'
import { makeAuthority, makeCertificate } from './certificates.ts'

export interface KafkaTarget {
  /** `kafka://USER:PASSWORD@HOST:PORT?sasl=PORT&tls=PORT&ca=FILE`, as the drivers read it. */
  readonly url: string
  /** HOST:PORT for each way in: for anyone, with SASL, with SASL over TLS. */
  readonly plain: string
  readonly sasl: string
  readonly tls: string
  /** PEM of the authority that vouches for the broker. */
  readonly caFile: string
  readonly user: string
  readonly password: string
  /** The process behind it when it is our own. */
  readonly process: BrokerProcess | null
}

let opened: Promise<KafkaTarget> | null = null
let folder: string | null = null

/** The one target of this process, started at the first call. */
export async function openKafka(): Promise<KafkaTarget> {
  opened ??= openFirst()
  return opened
}

/** Ends the process, if it is ours, and removes its data. */
export async function closeKafka(): Promise<void> {
  const target = await opened?.catch(() => null)
  opened = null
  await target?.process?.[Symbol.asyncDispose]()
  if (folder !== null) rmSync(folder, { recursive: true, force: true })
  folder = null
}

async function openFirst(): Promise<KafkaTarget> {
  const given = process.env['WAYSTATION_TEST_TARGET']
  if (given?.startsWith('kafka:')) return parse(given, null)
  folder = mkdtempSync(path.join(tmpdir(), 'waystation-kafka-'))
  const file = (name: string, text: string): string => {
    const at = path.join(folder!, name)
    writeFileSync(at, text)
    return at
  }
  const authority = makeAuthority('Kafka interop')
  const { certPem, keyPem } = makeCertificate(
    authority,
    [['CN', 'localhost']],
    ['localhost', '127.0.0.1'],
  )
  const caFile = file('ca.pem', authority.certPem)
  const tls = ['--tls-cert', file('cert.pem', certPem), '--tls-key', file('key.pem', keyPem)]
  const broker = new BrokerProcess({ args: ['--listen', 'kafkas=127.0.0.1:0', ...tls] })
  await broker.start()
  const query = new URLSearchParams({
    sasl: String(broker.kafkaPort),
    tls: String(broker.kafkaTlsPort),
    ca: caFile,
  })
  return parse(`kafka://guest:guest@127.0.0.1:${broker.kafkaPort}?${query.toString()}`, broker)
}

function parse(text: string, broker: BrokerProcess | null): KafkaTarget {
  const url = new URL(text)
  const at = (port: string | null): string => `${url.hostname}:${port ?? url.port}`
  return {
    url: text,
    plain: at(url.port),
    sasl: at(url.searchParams.get('sasl')),
    tls: at(url.searchParams.get('tls')),
    caFile: url.searchParams.get('ca') ?? '',
    user: decodeURIComponent(url.username),
    password: decodeURIComponent(url.password),
    process: broker,
  }
}
