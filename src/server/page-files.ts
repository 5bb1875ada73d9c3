import { createHash } from 'node:crypto'
import { existsSync, globSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { gzipSync } from 'node:zlib'
import type { PageFile, PageFiles } from '../admin/index.ts'

/** Beside the built broker, and where a checkout is built into. */
const FOLDERS = ['../console', '../../dist/console']

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
}

/**
 * The built page on disk, read and packed whole when it is first asked for: a build that comes
 * while the broker runs must not mix the files of two.
 */
export function openPageFiles(): PageFiles {
  let files: ReadonlyMap<string, PageFile> | null = null
  return {
    get: (name) => {
      files ??= readFiles()
      return files?.get(name) ?? null
    },
  }
}

/** Null: it is not built, yet. */
function readFiles(): Map<string, PageFile> | null {
  const folder = FOLDERS.map((each) => path.join(import.meta.dirname, each)).find((each) => {
    return existsSync(path.join(each, 'index.html'))
  })
  if (folder === undefined) return null
  const files = new Map<string, PageFile>()
  for (const name of globSync('{*,assets/*}', { cwd: folder })) {
    const type = TYPES[path.extname(name)]
    if (type === undefined) continue
    const bytes = Uint8Array.from(readFileSync(path.join(folder, name)))
    files.set(name.replaceAll(path.sep, '/'), {
      type,
      bytes,
      packed: Uint8Array.from(gzipSync(bytes, { level: 9 })),
      tag: `"${createHash('sha256').update(bytes).digest('base64url').slice(0, 22)}"`,
    })
  }
  return files
}
