import { examine, type Finding } from '../server/doctor.ts'
import { configOf, type StartFlags } from './config-flags.ts'
import { EXIT } from './exit-code.ts'
import { printJson } from './listings.ts'
import { cellText } from './table.ts'

export interface DoctorFlags extends StartFlags {
  readonly json?: boolean
}

const MARKS: Readonly<Record<Finding['state'], string>> = { well: 'ok', poor: 'poor', bad: 'BAD' }

/** Prints what was found; returns the exit code. Throws `StartupError` for a wrong configuration. */
export async function doctor(flags: DoctorFlags): Promise<number> {
  const { config, warnings } = configOf(flags)
  const findings: Finding[] = [
    ...warnings.map((text): Finding => {
      return { about: 'settings', state: 'poor', text, advice: 'take it away, or mend its name' }
    }),
    ...(await examine(config)),
  ]
  if (flags.json === true) printJson(findings)
  else process.stdout.write(findings.map(lineOf).join('') + verdict(findings))
  return findings.some(({ state }) => state === 'bad') ? EXIT.FAILED : EXIT.DONE
}

function lineOf({ about, state, text, advice }: Finding): string {
  const line = `${MARKS[state].padEnd(4)}  ${about.padEnd(11)}  ${cellText(text)}\n`
  return advice === null ? line : `${line}${' '.repeat(19)}-> ${advice}\n`
}

function verdict(findings: readonly Finding[]): string {
  const bad = findings.filter(({ state }) => state === 'bad').length
  if (bad > 0) return `${bad} of ${findings.length} things are in the way\n`
  return 'nothing is in the way of a broker here\n'
}
