import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, test } from 'node:test'
import { allSettings } from './config-schema.ts'
import { environmentName, loadConfig, type ConfigSources } from './config.ts'
import { StartupError } from './startup-error.ts'

const directory = mkdtempSync(path.join(tmpdir(), 'waystation-config-'))
after(() => rmSync(directory, { recursive: true, force: true }))

function write(name: string, text: string): string {
  const file = path.join(directory, name)
  writeFileSync(file, text)
  return file
}

function load(sources: Partial<ConfigSources>): ReturnType<typeof loadConfig> {
  return loadConfig({ file: null, environment: {}, flags: [], ...sources })
}

function faultsOf(sources: Partial<ConfigSources>): string[] {
  try {
    load(sources)
  } catch (error) {
    assert.ok(error instanceof StartupError)
    assert.equal(error.code, 'config')
    return error.message.split('\n').map((line) => line.replace(`${directory}/`, ''))
  }
  return assert.fail('the configuration was accepted')
}

test('flags win over environment, environment over file', () => {
  const file = write('order.yaml', 'listen: { amqp: 1, http: 2 }\nheartbeat: 10s\n')
  const environment = { WAYSTATION_LISTEN_HTTP: '3', WAYSTATION_HEARTBEAT: '20s' }
  const flags = [{ path: ['heartbeat'], value: '30s', flag: '--set heartbeat=30s' }]
  const { input } = load({ file, environment, flags })
  assert.equal(input.listen?.['amqp']?.port, 1)
  assert.equal(input.listen['http']?.port, 3)
  assert.equal(input.heartbeat, 30_000)
})

test('a fault names file, line, column, key, what was expected and what was there', () => {
  const file = write('bad.yaml', '# comment\nlisten:\n  amqp: banana\nheartbeat: soon\n')
  assert.deepEqual(faultsOf({ file }), [
    'bad.yaml:3:3: listen.amqp: expected an address such as 127.0.0.1:5672, [::1]:5672 or ' +
      `*:5672, a port from 0 to 65535, or 'off', got "banana"`,
    `bad.yaml:4:1: heartbeat: expected a duration such as '60s'; 0 turns heartbeats off, got "soon"`,
  ])
})

test('JSON has line numbers too, even indented with tabs', () => {
  const file = write('bad.json', '{\n\t"limits": {\n\t\t"messageSize": -1\n\t}\n}\n')
  assert.deepEqual(faultsOf({ file }), [
    "bad.json:3:3: limits.messageSize: expected a size from 1KiB to 128MiB such as '16MiB', got -1",
  ])
})

test('MQTT is set for all listeners and for one, also by the environment', () => {
  const file = write(
    'mqtt.yaml',
    'mqtt:\n  maximumQos: 1\n  listeners:\n    mqtts: { inFlight: 5 }\n',
  )
  const environment = {
    WAYSTATION_MQTT_RETAIN_AVAILABLE: 'false',
    WAYSTATION_MQTT_LISTENERS_MQTT_WS_KEEP_ALIVE_MAX: '10m',
  }
  assert.deepEqual(load({ file, environment }).input.mqtt, {
    maximumQos: 1,
    retainAvailable: false,
    listeners: { mqtts: { inFlight: 5 }, 'mqtt-ws': { keepAliveMax: 600_000 } },
  })
  const bad = 'mqtt: { maximumQos: 3, retainAvailable: no!, listeners: { amqp: {} } }\n'
  assert.deepEqual(faultsOf({ file: write('bad-mqtt.yaml', bad) }), [
    'bad-mqtt.yaml:1:9: mqtt.maximumQos: expected 0, 1 or 2, got 3',
    `bad-mqtt.yaml:1:24: mqtt.retainAvailable: expected 'true' or 'false', got "no!"`,
    "bad-mqtt.yaml:1:59: unknown key 'mqtt.listeners.amqp', expected one of mqtt, mqtts, mqtt-ws, " +
      'mqtt-wss',
  ])
})

test('an unknown key is refused with the key that was meant', () => {
  const file = write('typo.yaml', 'lissten:\n  amqp: 5672\ntls: { colour: red }\n')
  assert.deepEqual(faultsOf({ file }), [
    "typo.yaml:3:8: unknown key 'tls.colour', expected one of certFile, keyFile, caFile, " +
      'passphraseFile, clientCertificate, minVersion, ciphers, reloadEvery, certificates, loginFrom, loginSanType, loginSanIndex, principalRules',
    "typo.yaml:1:1: unknown key 'lissten', expected 'listen'",
  ])
})

test('what is no mapping, no YAML or no file is refused', () => {
  assert.deepEqual(faultsOf({ file: write('list.yaml', '- a\n') }), [
    "list.yaml:1:1: expected keys with values, such as 'data: DIR'",
  ])
  assert.match(faultsOf({ file: write('open.yaml', 'a: [1\n') })[0] ?? '', /^open\.yaml:\d+:\d+: /)
  assert.match(
    faultsOf({ file: write('twice.yaml', 'a: 1\na: 2\n') })[0] ?? '',
    /^twice\.yaml:2:1: /,
  )
  assert.deepEqual(faultsOf({ file: path.join(directory, 'gone.yaml') }), [
    'gone.yaml: there is no such file',
  ])
  assert.deepEqual(
    faultsOf({ file: write('scalar.yaml', 'listen: 5672\n') })[0]?.slice(0, 40),
    'scalar.yaml:1:1: listen: expected keys (',
  )
})

test('an empty file sets nothing', () => {
  assert.deepEqual(load({ file: write('empty.yaml', '# nothing\n') }).input, {})
})

test('faults of environment and flags name the variable and the flag', () => {
  const environment = { WAYSTATION_LISTEN_AMQP: 'x:y' }
  const flags = [{ path: ['log', 'level'], value: 'loud', flag: '--log-level loud' }]
  assert.deepEqual(
    faultsOf({ environment, flags }).map((line) => line.split(': expected')[0]),
    ['environment WAYSTATION_LISTEN_AMQP: listen.amqp', '--log-level loud: log.level'],
  )
})

test('a secret is never repeated in a message', () => {
  const file = write('secret.yaml', 'defaultUser:\n  password: [hunter2]\n')
  assert.deepEqual(faultsOf({ file }), [
    'secret.yaml:2:3: defaultUser.password: expected the password of the first user, got something else',
  ])
})

test('a protocol of a later version may be turned off, not on', () => {
  assert.deepEqual(load({ flags: [{ path: ['listen', 'stomp'], value: 'off', flag: '' }] }).input, {
    listen: { stomp: null },
  })
  const flags = [{ path: ['listen', 'stomp'], value: '61613', flag: '--listen stomp=61613' }]
  assert.deepEqual(faultsOf({ flags }), [
    '--listen stomp=61613: listen.stomp: expected \'off\', because this version does not speak STOMP, got "61613"',
  ])
})

test('TLS settings that need each other are asked for', () => {
  const file = write('tls.yaml', 'listen:\n  amqps: 5671\ntls:\n  clientCertificate: require\n')
  assert.deepEqual(faultsOf({ file }), [
    'tls.yaml:2:3: listen.amqps: expected tls.certFile and tls.keyFile to be set as well',
    'tls.yaml:4:3: tls.clientCertificate: expected tls.caFile to be set as well',
  ])
})

test('paths in a file are relative to the file, others to the working directory', () => {
  const file = write('paths.yaml', 'data: store\ntls: { certFile: a.pem }\n')
  const environment = { WAYSTATION_TLS_KEY_FILE: 'b.pem' }
  const { input } = load({ file, environment })
  assert.equal(input.data, path.join(directory, 'store'))
  assert.equal(input.tls?.certFile, path.join(directory, 'a.pem'))
  assert.equal(input.tls.keyFile, path.resolve('b.pem'))
  assert.equal(load({ environment: { WAYSTATION_DATA: 'memory' } }).input.data, 'memory')
})

test('a variable that is no setting is warned of, what Kubernetes sets is not', () => {
  const environment = {
    WAYSTATION_LISTEN_AMQPP: '1',
    WAYSTATION_PORT_5672_TCP: 'tcp://10.0.0.1:5672',
    WAYSTATION_SERVICE_HOST: '10.0.0.1',
    WAYSTATION_HEARTBEAT: '',
    OTHER: '1',
  }
  const { input, warnings } = load({ environment })
  assert.deepEqual(input, {})
  assert.deepEqual(warnings, [
    'environment variable WAYSTATION_LISTEN_AMQPP is not a setting and was ignored, ' +
      'did you mean WAYSTATION_LISTEN_AMQP?',
  ])
})

test('every setting has its own variable and says what is expected', () => {
  const settings = allSettings()
  assert.ok(settings.length > 20)
  const names = settings.map((setting) => environmentName(setting.path))
  assert.equal(new Set(names).size, names.length)
  assert.ok(names.includes('WAYSTATION_TLS_CERT_FILE'))
  for (const { path: keys, expected } of settings)
    assert.notEqual(expected, 'another value', keys.join('.'))
})

test('docs/configuration.md names every listener', () => {
  const file = path.join(import.meta.dirname, '../../docs/configuration.md')
  const page = readFileSync(file, 'utf8')
  for (const { path: keys } of allSettings()) {
    if (keys[0] !== 'listen') continue
    assert.ok(page.includes(`\`${keys[1]}\``), `${keys[1]} is missing`)
  }
})
