import type { Command } from 'commander'
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

const BROWSE_HELP = `
Examples:
  waystation browse dead
  waystation browse clicks --partition 2 --from 1000 --limit 50 --json
  waystation browse clicks --follow`
