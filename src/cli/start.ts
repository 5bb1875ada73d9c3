import { flushCompileCache } from 'node:module'
import { setFlagsFromString } from 'node:v8'
import { systemClock } from '../lib/clock.ts'
import { systemRandom } from '../lib/random.ts'
import { openLog, type Log } from '../server/log.ts'
import { openBroker } from '../server/open-broker.ts'
import type { RunningBroker } from '../server/running-broker.ts'
import { configOf, type StartFlags } from './config-flags.ts'
import { CommandError, EXIT } from './exit-code.ts'
import { readyLine, startScreen } from './start-screen.ts'
import { stopSignal } from './stop-signal.ts'

/** Beyond the time that clients have: storing what was begun takes a moment, not minutes. */
const STORE_TIMEOUT_MS = 20_000
/** A collection is due when the heap has grown by so much since the last one. */
const HEAP_GROWING_PERCENT = 100

/** Runs a broker until a signal stops it; returns the exit code. Throws `StartupError`. */
export async function start(flags: StartFlags): Promise<number> {
  const startedMs = systemClock.monotonicMs()
  letHeapGrow()
  // First of all, so that a signal during a long recovery is not lost.
  const stopped = stopSignal()
  const { config, logging, warnings } = configOf(flags)
  const { level = 'info', format = 'auto' } = logging
  const log = await openLog({ level, format })
  for (const warning of warnings) log.warn({}, warning)
  const broker = await openBroker(config, { clock: systemClock, random: systemRandom, log })
  process.on('uncaughtExceptionMonitor', (error) => {
    log.error({ err: error }, 'the broker ends because of an error in it')
  })
  process.on('SIGHUP', () => reloadTls(broker, log))
  if (format === 'pretty' || (format === 'auto' && process.stdout.isTTY)) {
    process.stdout.write(await startScreen(broker))
  } else {
    process.stdout.write(readyLine(broker, systemClock.monotonicMs() - startedMs))
  }
  // At the end it would be too late for a broker that is killed.
  flushCompileCache()
  const signal = await stopped
  log.info({ signal }, 'stopping, the same signal again stops at once')
  await closeInTime(broker, config.stopTimeoutMs + STORE_TIMEOUT_MS)
  log.info({}, 'stopped')
  return EXIT.DONE
}

async function closeInTime(broker: RunningBroker, timeoutMs: number): Promise<void> {
  const { promise: late, resolve } = Promise.withResolvers<'late'>()
  const timer = systemClock.setTimer(timeoutMs, () => resolve('late'))
  const outcome = await Promise.race([broker.close(), late])
  timer.cancel()
  if (outcome !== 'late') return
  const message = `the broker did not stop in ${timeoutMs} ms and was ended; what was confirmed is stored`
  throw new CommandError(EXIT.FAILED, message)
}

function reloadTls(broker: RunningBroker, log: Log): void {
  broker.reloadTls().then(
    () => log.info({}, 'certificates were read again'),
    (error: unknown) => log.error({ err: error }, 'the old certificates are kept'),
  )
}

/**
 * Buffers count as part of the heap. Most of ours are short-lived, and a heap as small as this one is
 * else collected anew for every 8 MB of them, which takes more time than storing what is in them.
 * Read by V8 after each collection, so it may be set in a process that runs.
 */
function letHeapGrow(): void {
  setFlagsFromString(`--heap-growing-percent=${HEAP_GROWING_PERCENT}`)
}
