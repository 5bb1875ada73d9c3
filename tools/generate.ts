/**
 * Writes every `*.gen.ts` anew from `spec/`, and the pages of `docs/` that are made of the sources:
 * runs each `tools/generate-*.ts`, in order of name.
 *
 * `--check` fails when a checked-in file differs from what its generator writes.
 */
import { execFileSync } from 'node:child_process'
import { globSync, readFileSync, rmSync, writeFileSync } from 'node:fs'

/** What the first line of a generated page is. */
const PAGE_MARK = /^<!-- Written by tools\/generate-[\w-]+\.ts/

function generatedFiles(): Map<string, string> {
  const read = (file: string): readonly [string, string] => [file, readFileSync(file, 'utf8')]
  const pages = globSync('docs/**/*.md').map(read)
  return new Map([
    ...globSync('src/**/*.gen.ts').map(read),
    ...pages.filter(([, text]) => PAGE_MARK.test(text)),
  ])
}

const before = generatedFiles()
const generators = globSync('tools/generate-*.ts').toSorted()
if (generators.length === 0 && before.size > 0) {
  console.error('generated files exist, but no tools/generate-*.ts that writes them')
  process.exit(1)
}
for (const generator of generators) {
  console.log(generator)
  execFileSync(process.execPath, [generator], { stdio: 'inherit' })
}
const after = generatedFiles()
const code = [...after.keys()].filter((file) => file.endsWith('.ts'))
if (code.length > 0) {
  execFileSync('oxfmt', code, { stdio: 'inherit' })
}

if (process.argv.includes('--check')) {
  for (const [file, text] of before) {
    if (after.has(file)) continue
    console.error(`${file} is what no generator writes; run: npm run generate`)
    process.exitCode = 1
    writeFileSync(file, text)
  }
  for (const [file, text] of generatedFiles()) {
    if (!after.has(file)) continue
    const checkedIn = before.get(file)
    if (checkedIn === text) continue
    console.error(`${file} is not what its generator writes; run: npm run generate`)
    process.exitCode = 1
    // A check leaves the tree as it was.
    if (checkedIn === undefined) rmSync(file)
    else writeFileSync(file, checkedIn)
  }
}
console.log(`${generators.length} generators, ${after.size} generated files`)
