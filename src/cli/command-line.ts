import { type Command, CommanderError } from 'commander'
import { StartupError } from '../server/startup-error.ts'
import { CommandError, EXIT, STARTUP_EXIT } from './exit-code.ts'
import { createProgram } from './program.ts'

/** Runs what the arguments of the process ask for, and ends the process. */
export async function runCommandLine(): Promise<void> {
  // A program that stops reading our output, such as `head`, is no error.
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE') throw error
    })
  }
  try {
    let exitCode = EXIT.DONE
    const program = createProgram((code) => {
      exitCode = code
    })
    await addCompletion(program, process.argv[2])
    for (const command of [program, ...program.commands]) {
      command.exitOverride()
      for (const inner of command.commands) inner.exitOverride()
    }
    await program.parseAsync()
    process.exitCode = exitCode
  } catch (error) {
    process.exitCode = report(error)
  }
  // Whatever is still open, such as a connection of fetch, must not keep a finished command alive.
  process.stdout.write('', () => process.exit())
}

/** Loaded only for the shell that asks: every other command would wait for it. */
async function addCompletion(program: Command, name: string | undefined): Promise<void> {
  if (name !== 'complete') return
  const { default: complete } = await import('@bomb.sh/tab/commander')
  complete(program)
}

/** Says on standard error why the command ended; returns the exit code. */
function report(error: unknown): number {
  // Commander has said it already.
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.DONE : EXIT.USAGE
  if (error instanceof StartupError || error instanceof CommandError) {
    process.stderr.write(`waystation: ${error.message.replaceAll('\n', '\n            ')}\n`)
    return error instanceof StartupError ? STARTUP_EXIT[error.code] : error.exitCode
  }
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error)
  process.stderr.write(`waystation: this should not have happened\n${text}\n`)
  return EXIT.FAILED
}
