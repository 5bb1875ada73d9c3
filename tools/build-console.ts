/**
 * Builds the console from `console/` into `dist/console`.
 *
 *   node tools/build-console.ts              builds it
 *   node tools/build-console.ts --if-needed  only where a source is newer than what is there, and
 *                                            without failing: the broker works without its page
 */
import { existsSync, globSync, mkdirSync, renameSync, rmSync, statSync } from 'node:fs'
import path from 'node:path'
import { build } from 'vite'

const root = path.join(import.meta.dirname, '..')
const target = path.join(root, 'dist/console')

/** Sources, and what decides on the libraries and on the build; of `src` the page takes no more. */
const SOURCES = [
  'console/**/*',
  'src/model/limit-set.ts',
  'package-lock.json',
  'tools/build-console.ts',
]

function isBuilt(): boolean {
  const index = path.join(target, 'index.html')
  if (!existsSync(index)) return false
  const builtMs = statSync(index).mtimeMs
  const sources = globSync(SOURCES, {
    cwd: root,
  })
  return sources.every((source) => statSync(path.join(root, source)).mtimeMs <= builtMs)
}

/** Into a folder of its own first: a broker, or another build, may be reading the one in place. */
async function buildConsole(): Promise<void> {
  const fresh = path.join(root, `dist/console-${process.pid}`)
  const old = path.join(root, `dist/console-old-${process.pid}`)
  mkdirSync(path.join(root, 'dist'), { recursive: true })
  try {
    await build({
      root: path.join(root, 'console'),
      configFile: false,
      base: './',
      logLevel: 'warn',
      build: {
        outDir: fresh,
        emptyOutDir: true,
        target: 'es2022',
        // The page's policy allows nothing inline, and there is nothing to gain on one file.
        assetsInlineLimit: 0,
        modulePreload: { polyfill: false },
        cssCodeSplit: false,
        // The libraries' licences ask to be carried along.
        license: { fileName: 'licenses.md' },
        reportCompressedSize: false,
      },
    })
    if (existsSync(target)) renameSync(target, old)
    renameSync(fresh, target)
  } finally {
    rmSync(fresh, { recursive: true, force: true })
    rmSync(old, { recursive: true, force: true })
  }
}

const onlyIfNeeded = process.argv.includes('--if-needed')
if (!onlyIfNeeded) await buildConsole()
else if (!isBuilt()) {
  console.error('building the console, once ...')
  try {
    await buildConsole()
  } catch (error) {
    console.error('the console was not built, the broker goes on without it:', error)
  }
}
