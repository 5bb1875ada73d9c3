import { type SettingFacts, settingReference } from '../server/setting-reference.ts'
import { CommandError, EXIT } from './exit-code.ts'
import { printJson } from './listings.ts'

export interface SettingsFlags {
  readonly json?: boolean
}

/** Prints what can be set; throws `CommandError` when nothing has the word in it. */
export function settings(word: string | undefined, flags: SettingsFlags): void {
  const wanted = word?.toLowerCase() ?? ''
  const found = settingReference().filter(({ key, about }) =>
    `${key} ${about}`.toLowerCase().includes(wanted),
  )
  if (found.length === 0) throw new CommandError(EXIT.USAGE, `no setting has '${word}' in it`)
  if (flags.json === true) printJson(found)
  else process.stdout.write(found.map(shown).join('\n'))
}

function shown({ key, about, type, limits, fallback, flag, environment }: SettingFacts): string {
  const kind = limits === '' ? type : `${type}: ${limits}`
  const otherwise = fallback === '' ? '' : `; default ${fallback}`
  return `${key}\n  ${about}\n  ${kind}${otherwise}\n  ${flag}  ${environment}\n`.replaceAll(
    '`',
    '',
  )
}
