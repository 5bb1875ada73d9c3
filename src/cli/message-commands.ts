import type { Command } from 'commander'
import type { ConsumeFlags } from './consume.ts'
import type { BrowseFlags, PublishFlags } from './messages.ts'

/** Messages by hand: put one in, look at those that are there. */
export function addMessageCommands(program: Command, inVhost: (command: Command) => Command): void {
  inVhost(program.command('publish [body]'))
    .summary('publish a message, or each line of standard input')
    .description(
      'Publishes a message, and ends when it is stored. Without a body, standard input is it.',
    )
    .option('--to <name>', 'the queue or topic it is for')
    .option('--exchange <name>', 'the exchange that routes it')
    .option('--key <key>', 'its routing key')
    .option('--header <name=value>', 'may be repeated', collect)
    .option('--content-type <type>', 'of the body')
    .option('--id <id>', 'its message id')
    .option('--lines', 'each line of standard input is a message')
    .addHelpText('after', PUBLISH_HELP)
    .action(async (body: string | undefined, flags: PublishFlags) => {
      const { publish } = await import('./messages.ts')
      await publish(body, flags)
    })
  inVhost(program.command('consume <name>'))
    .summary('take messages out of a queue, or read a topic')
    .description(
      'Prints what a queue or topic has, oldest first, and ends. A message is settled when it is ' +
        'printed; topics keep theirs.',
    )
    .option('--ack <mode>', 'accept, reject, requeue, fail or none', 'accept')
    .option('--count <number>', 'no more than so many')
    .option('--follow', 'wait for more, until Ctrl+C')
    .option('--from <place>', 'of a topic: first, last, next, an offset or a time', 'first')
    .option('--prefetch <number>', 'unsettled messages at a time', '100')
    .option('--format <format>', 'full, body (with a line end) or raw', 'full')
    .addHelpText('after', CONSUME_HELP)
    .action(async (name: string, flags: ConsumeFlags) => {
      const { consume } = await import('./consume.ts')
      await consume(name, flags)
    })
  inVhost(program.command('browse <name>'))
    .summary('show the messages of a queue or topic, and leave them there')
    .description('Shows the messages of a queue or topic, oldest first. Nothing is taken out.')
    .option('--from <offset>', 'where to begin; default: the oldest')
    .option('--limit <number>', 'how many; default 10', '10')
    .option('--partition <number>', 'of a topic; default 0')
    .option('--follow', 'show what comes afterwards too, until Ctrl+C')
    .addHelpText('after', BROWSE_HELP)
    .action(async (name: string, flags: BrowseFlags) => {
      const { browse } = await import('./messages.ts')
      await browse(name, flags)
    })
}

function collect(value: string, before: readonly string[] | undefined): string[] {
  return [...(before ?? []), value]
}

const PUBLISH_HELP = `
Examples:
  waystation publish 'hello' --to orders
  waystation publish --exchange amq.topic --key sensors.7.temp --header unit=C < reading.json
  seq 100 | waystation publish --to numbers --lines`

const CONSUME_HELP = `
Modes: accept takes messages out; reject sends them to the dead letters; requeue gives them back at
the end, and fail does too, counted as an attempt that failed (both hold up to --prefetch messages
meanwhile); none takes them out before they are printed, so that some may be lost. With accept and
reject, messages that were printed but not yet settled when it is stopped come again.

Examples:
  waystation consume orders --count 1
  waystation consume orders --follow --json | jq .body
  waystation consume dead --ack requeue
  waystation consume clicks --from 2026-01-31T12:00:00Z --format body
  waystation consume images --count 1 --format raw > image.png`

const BROWSE_HELP = `
Examples:
  waystation browse dead
  waystation browse clicks --partition 2 --from 1000 --limit 50 --json
  waystation browse clicks --follow`
