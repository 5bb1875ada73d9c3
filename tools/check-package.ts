/**
 * Checks what `npm publish` would send: packs it, lints its `exports`, installs the tarball into
 * an empty folder and uses it there, where Node runs no TypeScript.
 *
 * Unit tests run the sources, so they cannot see a wrong `exports`, `bin` or `files`.
 */
import { execFileSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { publint } from 'publint'
import { formatMessage } from 'publint/utils'

interface PackedFile {
  readonly path: string
}

interface Manifest {
  readonly name: string
  readonly version: string
  readonly bin: Readonly<Record<string, string>>
  readonly exports: Readonly<Record<string, unknown>>
}

const root = path.join(import.meta.dirname, '..')
const manifest = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8')) as Manifest
const scratch = mkdtempSync(path.join(tmpdir(), 'waystation-package-'))

const NEEDED = [
  'LICENSE',
  'README.md',
  'CHANGELOG.md',
  'package.json',
  'dist/console/index.html',
  'dist/console/licenses.md',
  'proto/waystation/rpc/v1/provider.proto',
]

function run(command: string, args: readonly string[], cwd: string): string {
  return execFileSync(command, args, {
    cwd,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  })
}

function packedFiles(): string[] {
  const listing = run(
    'npm',
    ['pack', '--json', '--ignore-scripts', '--pack-destination', scratch],
    root,
  )
  const [packed] = JSON.parse(listing) as { readonly files: readonly PackedFile[] }[]
  return packed?.files.map((file) => file.path) ?? []
}

function checkContents(files: readonly string[]): string[] {
  const faults: string[] = []
  for (const needed of NEEDED) {
    if (!files.includes(needed)) faults.push(`the package lacks ${needed}`)
  }
  for (const file of files) {
    if (/\.test\.|\.map$/.test(file)) faults.push(`the package carries ${file}`)
  }
  return faults
}

async function checkExports(): Promise<string[]> {
  const { messages } = await publint({ pkgDir: root, strict: true, pack: false })
  return messages.map(
    (message) => formatMessage(message, manifest, { color: false }) ?? message.code,
  )
}

/** Installs the tarball as a user would, imports every entry and asks the command its version. */
function checkInstalled(): string[] {
  const user = path.join(scratch, 'user')
  mkdirSync(user)
  writeFileSync(path.join(user, 'package.json'), '{"private":true,"type":"module"}\n')
  const tarball = path.join(scratch, `${manifest.name}-${manifest.version}.tgz`)
  run(
    'npm',
    ['install', '--no-audit', '--no-fund', '--omit=dev', '--prefer-offline', tarball],
    user,
  )
  for (const entry of Object.keys(manifest.exports)) {
    if (entry.endsWith('.json')) continue
    const name = path.posix.join(manifest.name, entry)
    const script = `const entry = await import('${name}'); if (Object.keys(entry).length === 0) process.exit(1)`
    run(process.execPath, ['--input-type=module', '--eval', script], user)
    console.log(`import '${name}' works`)
  }
  checkTypes(user)
  checkExample(user)
  const command = Object.values(manifest.bin)[0] ?? ''
  const main = path.join(user, 'node_modules', manifest.name, command)
  const version = run(process.execPath, [main, '--version'], user).trim()
  console.log(`${manifest.name} --version prints ${version}`)
  return version.includes(manifest.version) ? [] : [`--version prints '${version}'`]
}

/** Compiles a program that uses every entry, reading the declarations as strictly as one can. */
function checkTypes(user: string): void {
  const entries = Object.keys(manifest.exports).filter((entry) => !entry.endsWith('.json'))
  const lines = entries.map((entry, index) => {
    const name = path.posix.join(manifest.name, entry)
    return `import * as entry${index} from '${name}'\nvoid entry${index}\n`
  })
  writeFileSync(path.join(user, 'program.ts'), lines.join(''))
  const options = {
    strict: true,
    module: 'nodenext',
    target: 'es2024',
    lib: ['es2024', 'esnext.disposable'],
    types: ['node'],
    typeRoots: [path.join(root, 'node_modules/@types')],
    noEmit: true,
    skipLibCheck: false,
  }
  const config = { compilerOptions: options, files: ['program.ts'] }
  writeFileSync(path.join(user, 'tsconfig.json'), JSON.stringify(config))
  const compiler = path.join(root, 'node_modules/.bin/tsc')
  run(compiler, ['-p', user], user)
  console.log('the declarations compile')
}

/** Runs the suites of examples/testing against the installed package, as their reader would. */
function checkExample(user: string): void {
  const source = path.join(root, 'examples/testing')
  const { dependencies, devDependencies } = JSON.parse(
    readFileSync(path.join(source, 'package.json'), 'utf8'),
  ) as Record<'dependencies' | 'devDependencies', Readonly<Record<string, string>>>
  const wanted = Object.entries({ ...dependencies, ...devDependencies })
    .filter(([name]) => name !== manifest.name)
    .map(([name, version]) => `${name}@${version}`)
  run('npm', ['install', '--no-audit', '--no-fund', '--no-save', ...wanted], user)
  const example = path.join(user, 'example')
  cpSync(source, example, { recursive: true })
  for (const script of ['test', 'test:vitest']) {
    run('npm', ['run', '--silent', script], example)
    console.log(`examples/testing: npm run ${script} passes`)
  }
}

try {
  run('npm', ['run', '--silent', 'build'], root)
  const files = packedFiles()
  const faults = [...checkContents(files), ...(await checkExports()), ...checkInstalled()]
  for (const fault of faults) console.error(fault)
  console.log(`${files.length} files packed, ${faults.length} faults`)
  if (faults.length > 0) process.exitCode = 1
} finally {
  rmSync(scratch, { recursive: true, force: true })
}
