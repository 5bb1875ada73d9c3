/**
 * Makes one file of the `waystation` command, for tests that start brokers by the hundred: loading
 * the sources, one by one, costs more than all else of a start.
 */
import path from 'node:path'

const FILE_VARIABLE = 'WAYSTATION_TEST_BROKER'
const ROOT = path.join(import.meta.dirname, '..')

/** What a test runs for a broker; outside a run with such a file, the sources. */
export const BROKER_MAIN: string = process.env[FILE_VARIABLE] ?? path.join(ROOT, 'src/cli/main.ts')

/** For the runner: writes it below `dist/`, where it finds what the sources find beside them. */
export async function buildTestBroker(): Promise<TestBroker> {
  // Every test that starts a broker loads this file.
  const { build } = await import('vite')
  // The same each time, so that what was compiled of it the last time is found.
  const folder = path.join(ROOT, 'dist/test-broker')
  await build({
    root: ROOT,
    configFile: false,
    logLevel: 'warn',
    build: {
      ssr: 'src/cli/main.ts',
      outDir: folder,
      target: 'node24',
      rolldownOptions: { output: { chunkFileNames: '[name]-[hash].js' } },
      minify: false,
      reportCompressedSize: false,
    },
  })
  return { folder, environment: { [FILE_VARIABLE]: path.join(folder, 'main.js') } }
}

export interface TestBroker {
  readonly folder: string
  /** Of the tests. */
  readonly environment: NodeJS.ProcessEnv
}
