import { loadConfig, type FlagSetting } from '../server/config.ts'
import { defaultDataDirectory } from '../server/data-directory.ts'
import { resolveConfig, type ServerConfig } from '../server/server-config.ts'
import { CommandError, EXIT } from './exit-code.ts'

/** The flags of `waystation start` and `waystation doctor`, as commander gives them. */
export interface StartFlags {
  readonly data?: string
  readonly config?: string
  readonly listen?: readonly string[]
  readonly logLevel?: string
  readonly logFormat?: string
  readonly tlsCert?: string
  readonly tlsKey?: string
  readonly tlsCa?: string
  readonly set?: readonly string[]
}

export interface FlaggedConfig {
  readonly config: ServerConfig
  readonly logging: NonNullable<ReturnType<typeof loadConfig>['input']['log']>
  /** Sentences for the log. */
  readonly warnings: readonly string[]
}

/** What a broker started with these flags, in this environment, would work by. Throws `StartupError`. */
export function configOf(flags: StartFlags): FlaggedConfig {
  const { input, warnings } = loadConfig({
    file: flags.config ?? process.env['WAYSTATION_CONFIG'] ?? null,
    environment: process.env,
    flags: flagSettings(flags),
  })
  const config = resolveConfig(input, {
    data: defaultDataDirectory(process.env),
    isOnByDefault: (port) => port.onByDefault,
    defaultPort: (port) => port.standardPort,
  })
  return { config, logging: input.log ?? {}, warnings }
}

function flagSettings(flags: StartFlags): FlagSetting[] {
  const settings: FlagSetting[] = []
  const add = (keys: string, value: string | undefined, flag: string): void => {
    if (value === undefined) return
    settings.push({ path: keys.split('.'), value, flag: `${flag} ${value}` })
  }
  for (const text of flags.set ?? []) {
    const { key, value } = splitPair(text, '--set', 'limits.messageSize=16MiB')
    settings.push({ path: key.split('.'), value, flag: `--set ${key}` })
  }
  for (const text of flags.listen ?? []) {
    const { key, value } = splitPair(text, '--listen', 'amqp=127.0.0.1:5672')
    settings.push({ path: ['listen', key], value, flag: `--listen ${text}` })
  }
  add('data', flags.data, '--data')
  add('log.level', flags.logLevel, '--log-level')
  add('log.format', flags.logFormat, '--log-format')
  add('tls.certFile', flags.tlsCert, '--tls-cert')
  add('tls.keyFile', flags.tlsKey, '--tls-key')
  add('tls.caFile', flags.tlsCa, '--tls-ca')
  return settings
}

function splitPair(text: string, flag: string, example: string): { key: string; value: string } {
  const equals = text.indexOf('=')
  if (equals > 0) return { key: text.slice(0, equals), value: text.slice(equals + 1) }
  throw new CommandError(EXIT.USAGE, `${flag} ${text}: expected NAME=VALUE such as ${example}`)
}
