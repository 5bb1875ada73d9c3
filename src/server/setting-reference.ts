import { allSettings } from './config-schema.ts'
import { environmentName } from './config.ts'
import { noteOf } from './setting-notes.ts'

/** All there is to know of one setting. */
export interface SettingFacts {
  readonly key: string
  readonly about: string
  /** With the unit of a bare number, where there is one. */
  readonly type: string
  /** Empty: there are none. */
  readonly limits: string
  /** What holds where nothing is set; empty: nothing does. */
  readonly fallback: string
  readonly flag: string
  readonly environment: string
}

/** Keys with a flag of their own; every other one has `--set`. */
const SETTING_FLAGS: Readonly<Record<string, string>> = {
  data: '--data',
  'log.level': '--log-level',
  'log.format': '--log-format',
  'tls.certFile': '--tls-cert',
  'tls.keyFile': '--tls-key',
  'tls.caFile': '--tls-ca',
}

/** Every setting, in the schema's order: what it may be is what the schema checks. */
export function settingReference(): readonly SettingFacts[] {
  return allSettings().map(({ path, type = '', limits = '' }) => {
    const key = path.join('.')
    const { about, fallback } = noteOf(key)
    const environment = environmentName(path)
    return { key, about, type, limits, fallback, flag: flagOf(path), environment }
  })
}

function flagOf(path: readonly string[]): string {
  const key = path.join('.')
  if (path[0] === 'listen') return `--listen ${path[1]}=`
  return SETTING_FLAGS[key] ?? `--set ${key}=`
}
