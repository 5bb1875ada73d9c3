import path from 'node:path'
import type { z } from 'zod'
import { readConfigFile, type ConfigFile } from './config-file.ts'
import { allSettings, configSchema, keysBelow, type ConfigInput } from './config-schema.ts'
import { nearest } from './nearest.ts'
import { PORTS } from './protocol-ports.ts'
import { StartupError } from './startup-error.ts'

/** One setting from the command line, with the flag as the user wrote it. */
export interface FlagSetting {
  readonly path: readonly string[]
  readonly value: string
  readonly flag: string
}

/** Later ones win: file, then environment, then flags. */
export interface ConfigSources {
  /** Path of a JSON or YAML file; null for none. */
  readonly file: string | null
  readonly environment: Readonly<Record<string, string | undefined>>
  readonly flags: readonly FlagSetting[]
}

export interface LoadedConfig {
  readonly input: ConfigInput
  /** Sentences for the log: settings that look like ours and are not. */
  readonly warnings: readonly string[]
}

interface Group {
  [key: string]: unknown
}

const ENVIRONMENT_PREFIX = 'WAYSTATION_'
/** Read by the command line itself, so they are no settings. */
const OTHER_VARIABLES = ['CONFIG', 'URL', 'USER', 'PASSWORD']
const PATH_SETTINGS: readonly string[] = [
  'data',
  'tls.certFile',
  'tls.keyFile',
  'tls.caFile',
  'tls.passphraseFile',
  'tls.certificates',
  'oauth2.keysFile',
  'audit.file',
  'defaultUser.passwordFile',
]
/** Of these, several with commas between them. */
const PATH_LISTS: readonly string[] = ['tls.certificates']

/**
 * Puts file, environment and flags together and checks the whole. Throws a `StartupError` of code
 * `config` with a line for each fault: where it stands, which key, what was expected.
 */
export function loadConfig(sources: ConfigSources): LoadedConfig {
  const merged: Group = {}
  const origins = new Map<string, string>()
  const file = sources.file === null ? null : readConfigFile(sources.file)
  if (file !== null) {
    assignFile(merged, file, path.dirname(path.resolve(sources.file ?? '')))
  }
  const warnings = assignEnvironment(merged, origins, sources.environment)
  for (const { path: keys, value, flag } of sources.flags) {
    assign(merged, keys, withoutRelativePath(keys, value, process.cwd()))
    origins.set(keys.join('.'), flag)
  }
  const origin = (keys: readonly string[]): string =>
    origins.get(keys.join('.')) ?? file?.locate(keys) ?? 'configuration'
  const result = configSchema.safeParse(merged)
  const faults = result.success
    ? crossFaults(result.data, origin)
    : result.error.issues.flatMap((issue) => describeIssue(issue, merged, origin))
  if (faults.length > 0 || !result.success) throw new StartupError('config', faults.join('\n'))
  return { input: result.data, warnings }
}

/** `listen.amqp` is `WAYSTATION_LISTEN_AMQP`, `tls.certFile` is `WAYSTATION_TLS_CERT_FILE`. */
export function environmentName(keys: readonly string[]): string {
  const words = keys.map((key) => key.replace(/[A-Z]/g, '_$&').replaceAll('-', '_').toUpperCase())
  return ENVIRONMENT_PREFIX + words.join('_')
}

function assignFile(merged: Group, file: ConfigFile, directory: string): void {
  Object.assign(merged, file.values)
  for (const name of PATH_SETTINGS) {
    const keys = name.split('.')
    const value = valueAt(merged, keys)
    // A relative path in a file means the same wherever the broker is started from.
    if (typeof value === 'string') assign(merged, keys, withoutRelativePath(keys, value, directory))
    else if (Array.isArray(value) && value.every((one) => typeof one === 'string')) {
      assign(
        merged,
        keys,
        value.map((one) => path.resolve(directory, one)),
      )
    }
  }
}

function assignEnvironment(
  merged: Group,
  origins: Map<string, string>,
  environment: ConfigSources['environment'],
): string[] {
  const names = new Map(allSettings().map((setting) => [environmentName(setting.path), setting]))
  const warnings: string[] = []
  for (const [name, value] of Object.entries(environment)) {
    if (!name.startsWith(ENVIRONMENT_PREFIX) || value === undefined || value === '') continue
    const setting = names.get(name)
    if (setting !== undefined) {
      assign(merged, setting.path, withoutRelativePath(setting.path, value, process.cwd()))
      origins.set(setting.path.join('.'), `environment ${name}`)
    } else if (!isForeignVariable(name)) {
      const hint = nearest(name, names.keys())
      const question = hint === null ? '' : `, did you mean ${hint}?`
      warnings.push(`environment variable ${name} is not a setting and was ignored${question}`)
    }
  }
  return warnings
}

function isForeignVariable(name: string): boolean {
  const rest = name.slice(ENVIRONMENT_PREFIX.length)
  // Kubernetes sets these in every container for a service called 'waystation'.
  return OTHER_VARIABLES.includes(rest) || /^(?:SERVICE_|PORT$|PORT_)/.test(rest)
}

function withoutRelativePath(keys: readonly string[], value: string, directory: string): string {
  const name = keys.join('.')
  if (!PATH_SETTINGS.includes(name) || value === '') return value
  if (name === 'data' && value === 'memory') return value
  if (!PATH_LISTS.includes(name)) return path.resolve(directory, value)
  return value
    .split(',')
    .map((one) => path.resolve(directory, one.trim()))
    .join(',')
}

function assign(into: Group, keys: readonly string[], value: unknown): void {
  let group = into
  for (const key of keys.slice(0, -1)) {
    const inner = group[key]
    // What is no group is replaced, so that a flag mends what the file has wrong above it.
    group = isGroup(inner) ? inner : (group[key] = {})
  }
  group[keys.at(-1) ?? ''] = value
}

function valueAt(group: Group, keys: readonly PropertyKey[]): unknown {
  let value: unknown = group
  for (const key of keys) value = isGroup(value) ? value[String(key)] : undefined
  return value
}

function isGroup(value: unknown): value is Group {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function describeIssue(
  issue: z.core.$ZodIssue,
  merged: Group,
  origin: (keys: readonly string[]) => string,
): string[] {
  const keys = issue.path.map(String)
  if (issue.code === 'unrecognized_keys') {
    const known = keysBelow(keys) ?? []
    return issue.keys.map((key) => {
      const name = [...keys, key].join('.')
      const hint = nearest(key, known)
      const expected = hint === null ? `expected one of ${known.join(', ')}` : `expected '${hint}'`
      return `${origin([...keys, key])}: unknown key '${name}', ${expected}`
    })
  }
  const name = keys.join('.')
  const setting = allSettings().find((candidate) => candidate.path.join('.') === name)
  const below = keysBelow(keys)
  const expected = setting?.expected ?? (below === null ? '' : `keys (${below.join(', ')})`)
  const got = isSecret(name) ? 'something else' : JSON.stringify(valueAt(merged, keys))
  return [`${origin(keys)}: ${name}: expected ${expected}, got ${got}`]
}

function isSecret(name: string): boolean {
  return /password$|passphrase$/i.test(name)
}

/** Settings that need each other. */
function crossFaults(input: ConfigInput, origin: (keys: readonly string[]) => string): string[] {
  const faults: string[] = []
  const { tls, listen, defaultUser } = input
  for (const port of PORTS) {
    const isOn = port.tls && (listen?.[port.name] ?? null) !== null
    if (!isOn || (tls?.certFile !== undefined && tls.keyFile !== undefined)) continue
    const at = `${origin(['listen', port.name])}: listen.${port.name}`
    faults.push(`${at}: expected tls.certFile and tls.keyFile to be set as well`)
  }
  const verifies = tls?.clientCertificate !== undefined && tls.clientCertificate !== 'none'
  if (verifies && tls.caFile === undefined) {
    const at = origin(['tls', 'clientCertificate'])
    faults.push(`${at}: tls.clientCertificate: expected tls.caFile to be set as well`)
  }
  if (input.mqtt?.useIdentityAsUsername === true && !verifies) {
    const at = origin(['mqtt', 'useIdentityAsUsername'])
    faults.push(
      `${at}: mqtt.useIdentityAsUsername: expected tls.clientCertificate to be set as well`,
    )
  }
  faults.push(...tokenFaults(input, origin))
  if (defaultUser?.password !== undefined && defaultUser.passwordFile !== undefined) {
    const at = origin(['defaultUser', 'passwordFile'])
    faults.push(`${at}: defaultUser.passwordFile: expected no defaultUser.password beside it`)
  }
  return faults
}

function tokenFaults(
  { oauth2 }: ConfigInput,
  origin: (keys: readonly string[]) => string,
): string[] {
  if (oauth2 === undefined) return []
  const at = `${origin(['oauth2'])}: oauth2`
  const faults: string[] = []
  if (oauth2.resourceServerId === undefined) {
    faults.push(`${at}: expected oauth2.resourceServerId to be set as well`)
  }
  if ((oauth2.keysUrl === undefined) === (oauth2.keysFile === undefined)) {
    faults.push(`${at}: expected either oauth2.keysUrl or oauth2.keysFile`)
  }
  return faults
}
