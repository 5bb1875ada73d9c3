import { readFileSync } from 'node:fs'

/** For commands that are handed a file's name; throws what Node says of it. */
export function readLocalFile(file: string): Buffer {
  return readFileSync(file)
}
