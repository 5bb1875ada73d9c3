/**
 * Writes every `*.gen.ts` anew from `spec/`: runs each `tools/generate-*.ts`, in order of name.
 *
 * `--check` fails when a checked-in file differs from what its generator writes.
 */
import { execFileSync } from 'node:child_process'
import { globSync, readFileSync } from 'node:fs'

function generatedFiles(): Map<string, string> {
  return new Map(
    globSync('src/**/*.gen.ts').map((file) => [file, readFileSync(file, 'utf8')] as const),
  )
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
if (after.size > 0) {
  execFileSync('oxfmt', [...after.keys()], { stdio: 'inherit' })
}

if (process.argv.includes('--check')) {
  const stale = [...generatedFiles()].filter(([file, text]) => before.get(file) !== text)
  for (const [file] of stale) console.error(`${file} was not what its generator writes`)
  if (stale.length > 0) process.exitCode = 1
}
console.log(`${generators.length} generators, ${after.size} generated files`)
