/** A kind of tests: where its files are, and how they are run. */
export interface Kind {
  readonly folder: string
  readonly patterns: readonly string[]
  /** `none` shares processes and starts fast; `process` keeps one file's end from another's. */
  readonly isolation: 'none' | 'process'
  /** How many processes run at once: each has one file, or with `none` a share of all of them. */
  readonly concurrency: number
  /** Its brokers are one file, made for the run: of so many, the sources would take minutes to load. */
  readonly hasBrokerInOne?: boolean
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
    concurrency: 2,
    timeoutMs: 60_000,
    totalMs: 300_000,
  },
  tidy: folderKind('tidy', { isolation: 'none', concurrency: 1, timeoutMs: 60_000 }),
  suites: folderKind('suites', { timeoutMs: 120_000 }),
  fuzz: folderKind('fuzz', { timeoutMs: 300_000 }),
  simulation: folderKind('simulation', { timeoutMs: 300_000 }),
  interop: folderKind('interop', { timeoutMs: 300_000 }),
  crash: folderKind('crash', { hasBrokerInOne: true, timeoutMs: 600_000 }),
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
