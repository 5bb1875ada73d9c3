import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { userInfo } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { PORTS } from '../../src/server/protocol-ports.ts'
import { probeAmqp } from '../../src/load/connection.ts'
import { probeMqtt } from '../../src/load/mqtt/client.ts'
import { RabbitServer } from './rabbitmq.ts'
import type { Endpoint } from '../../src/load/raw-socket.ts'
import { externalServer, ProcessServer, type Probe, type Program } from './server.ts'
import type { Protocol, Target } from './target.ts'

/** Brokers to compare with, by the protocol they are loaded with. */
export const PEERS: Readonly<Record<Protocol, readonly string[]>> = {
  amqp: ['rabbitmq'],
  mqtt: ['mosquitto', 'aedes'],
}

const REPOSITORY = fileURLToPath(new URL('../..', import.meta.url))

/** Where Debian has it; users often have no such folder on their path. */
const MOSQUITTO_COMMANDS = ['mosquitto', '/usr/sbin/mosquitto']

export interface TargetChoice {
  readonly protocol: Protocol
  /** `waystation`, `sink`, `none` or an endpoint. */
  readonly own: string | Endpoint
  readonly peers: readonly string[]
}

/** Starts what is to be loaded, the broker under test first. */
export async function openTargets(
  choice: TargetChoice,
  resources: AsyncDisposableStack,
): Promise<readonly Target[]> {
  const { protocol, own, peers } = choice
  const targets: Target[] = []
  const add = (name: string, target: Omit<Target, 'name' | 'queueArguments'>): void => {
    targets.push({ name, queueArguments: {}, ...target })
  }
  if (typeof own === 'object') {
    const server = resources.use(await externalServer(own, probeOf(protocol, '')))
    add(`${own.host}:${own.port}`, { server, isPeer: false })
  } else if (own !== 'none') {
    const program = own === 'sink' ? sink(protocol) : waystation(protocol)
    add(own, { server: resources.use(await ProcessServer.open(program)), isPeer: false })
  }
  for (const peer of PEERS[protocol]) {
    if (peers.includes(peer)) targets.push(...(await openPeer(peer, resources)))
  }
  return targets
}

async function openPeer(peer: string, resources: AsyncDisposableStack): Promise<Target[]> {
  if (peer === 'rabbitmq') return openRabbit(resources)
  const program = peer === 'aedes' ? aedes() : mosquitto()
  if (program === null) {
    console.log(`${peer} is not installed (apt-get install ${peer}), so it is no peer`)
    return []
  }
  const server = resources.use(await ProcessServer.open(program))
  return [{ name: peer, server, isPeer: true, queueArguments: {} }]
}

async function openRabbit(resources: AsyncDisposableStack): Promise<Target[]> {
  if (!RabbitServer.isInstalled()) {
    console.log('RabbitMQ is not installed (tools/rabbitmq.sh install), so there is no peer')
    return []
  }
  const server = resources.use(await RabbitServer.open())
  return ['classic', 'quorum'].map((queueType) => {
    const queueArguments = { 'x-queue-type': queueType }
    return { name: `rabbitmq ${queueType}`, server, isPeer: true, queueArguments }
  })
}

function probeOf(protocol: Protocol, version: string): Probe {
  return protocol === 'amqp' ? probeAmqp : probeMqtt(version)
}

function waystation(protocol: Protocol): Program {
  const others = PORTS.filter(({ name, available }) => available && name !== protocol)
  // Scenarios that change the broker's settings need its API, which costs nothing while unused.
  const off = others.flatMap(({ name }) => ['--listen', `${name}=${name === 'http' ? 0 : 'off'}`])
  const quiet = ['--log-level', 'warn', ...off]
  return {
    command: process.execPath,
    args: ({ host, port }, data) => [
      ...[join(REPOSITORY, 'src/cli/main.ts'), 'start', ...quiet],
      ...['--data', data, '--listen', `${protocol}=${host}:${port}`],
    ],
    probe: probeOf(protocol, `Waystation ${packageVersion('.')}`),
  }
}

/** No broker at all: shows how much this load program can drive. */
function sink(protocol: Protocol): Program {
  const file = protocol === 'amqp' ? 'sink.ts' : 'mqtt/sink.ts'
  return {
    command: process.execPath,
    args: ({ host, port }, data) => [
      ...[fileURLToPath(new URL(file, import.meta.url))],
      ...['--data', data, '--listen', `${protocol}=${host}:${port}`],
    ],
    probe: probeOf(protocol, 'sink 0'),
  }
}

function aedes(): Program {
  const program = fileURLToPath(new URL('mqtt/aedes.ts', import.meta.url))
  return {
    command: process.execPath,
    args: ({ port }) => [program, String(port)],
    probe: probeMqtt(`aedes ${packageVersion('node_modules/aedes')}`),
  }
}

/** Null where it is not installed. */
function mosquitto(): Program | null {
  for (const command of MOSQUITTO_COMMANDS) {
    const version = mosquittoVersion(command)
    if (version === null) continue
    return {
      command,
      args: (endpoint, data) => ['-c', writeMosquittoConfig(endpoint, data)],
      probe: probeMqtt(version),
    }
  }
  return null
}

function mosquittoVersion(command: string): string | null {
  try {
    const stdio: ['ignore', 'pipe', 'ignore'] = ['ignore', 'pipe', 'ignore']
    // Asked for help it also says 3, which is no failure here.
    execFileSync(command, ['-h'], { encoding: 'utf8', stdio })
  } catch (error) {
    const { stdout } = error as { readonly stdout?: string }
    return stdout?.match(/^mosquitto version (\S+)/)?.[0].replace(' version', '') ?? null
  }
  return null
}

/**
 * Persistence as Debian has it: written at a stop and every half an hour. Nothing is dropped, as
 * much may be under way as with Waystation, and small packets leave at once.
 */
function writeMosquittoConfig({ host, port }: Endpoint, data: string): string {
  const file = join(data, 'mosquitto.conf')
  const lines = [
    `listener ${port} ${host}`,
    'allow_anonymous true',
    'persistence true',
    `persistence_location ${data}/`,
    'max_inflight_messages 1000',
    'max_queued_messages 0',
    'set_tcp_nodelay true',
    'log_dest stderr',
    'log_type error',
    'log_type warning',
    `user ${userInfo().username}`,
  ]
  writeFileSync(file, `${lines.join('\n')}\n`)
  return file
}

function packageVersion(folder: string): string {
  const text = readFileSync(join(REPOSITORY, folder, 'package.json'), 'utf8')
  return String((JSON.parse(text) as { readonly version: unknown }).version)
}
