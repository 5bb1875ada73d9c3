/** A kind of tests: where its files are, and how they are run. */
export interface Kind {
  readonly folder: string
  readonly patterns: readonly string[]
  /** `none` shares one process and starts fast; `process` keeps one file's end from another's. */
  readonly isolation: 'none' | 'process'
  /** How many files run at once, when each has its own process. */
  readonly concurrency: number
  /** After this long one test counts as hung; with a process each, one file too. */
  readonly timeoutMs: number
  /** After this long the whole kind is ended: a leaked handle must not hold the run. */
  readonly totalMs: number
}

/** `npm test` runs all of them, so that a test file which matches none is refused by tidy. */
export const KINDS: Readonly<Record<string, Kind>> = {
  unit: {
    folder: 'src',
    patterns: ['src/**/*.test.ts', 'tools/**/*.test.ts', 'bench/**/*.test.ts'],
    isolation: 'none',
    concurrency: 1,
    timeoutMs: 60_000,
    totalMs: 300_000,
  },
  tidy: folderKind('tidy', { isolation: 'none', timeoutMs: 60_000 }),
  suites: folderKind('suites', { timeoutMs: 120_000 }),
  fuzz: folderKind('fuzz', { timeoutMs: 300_000 }),
  simulation: folderKind('simulation', { timeoutMs: 300_000 }),
  interop: folderKind('interop', { timeoutMs: 300_000 }),
  crash: folderKind('crash', { timeoutMs: 600_000 }),
}

function folderKind(name: string, given: Pick<Kind, 'timeoutMs'> & Partial<Kind>): Kind {
  const folder = `test/${name}`
  return {
    folder,
    patterns: [`${folder}/**/*.test.ts`],
    isolation: 'process',
    concurrency: 2,
    totalMs: 900_000,
    ...given,
  }
}
