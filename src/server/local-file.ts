import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'

/** For commands that are handed a file's name, or 0 for standard input; throws what Node says. */
export function readLocalFile(file: string | 0): Buffer {
  return readFileSync(file)
}

/** Makes or replaces a file that only its owner may read, since there are secrets in it. */
export function writeSecretFile(file: string, text: string): void {
  writeFileSync(file, text, { mode: 0o600 })
}

/** Makes or replaces a file, and the folder it lies in. */
export function writeLocalFile(file: string, text: string): void {
  mkdirSync(path.dirname(file), { recursive: true })
  writeFileSync(file, text)
}
