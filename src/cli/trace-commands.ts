import type { Command } from 'commander'
import type * as traces from './traces.ts'
import type { WhereFlags, WhyFlags } from './whereabouts.ts'

/** Adds the flags that say which broker is meant. */
type Administrative = (command: Command) => Command

/** The commands that tell where messages are and why they do not come. */
export function addTraceCommands(program: Command, administrative: Administrative): void {
  const group = program
    .command('trace')
    .summary('follow messages and tell what became of them')
    .description('Follows messages from their publisher to their end. Off until it is started.')
  addStart(group, administrative)
  administrative(group.command('stop <rule>'))
    .description('Ends a rule; what it picked is still followed and shown.')
    .action(async (rule: string, flags: traces.TraceStartFlags) => {
      await (await load()).stopTrace(rule, flags)
    })
  administrative(group.command('list', { isDefault: true }))
    .description('Lists the rules that run, and how much is remembered.')
    .action(async (flags: traces.TraceStartFlags) => (await load()).listTraces(flags))
  administrative(group.command('show [id]'))
    .description('Tells what became of a message, or of those traced last.')
    .option('--limit <number>', 'no more messages than so many', '20')
    .addHelpText('after', SHOW_HELP)
    .action(async (id: string | undefined, flags: traces.TraceShowFlags) => {
      await (await load()).showTrace(id, flags)
    })
  addWhereAndWhy(program, administrative)
}

function addStart(group: Command, administrative: Administrative): void {
  administrative(group.command('start'))
    .description('Follows the messages that are published from now on and that all flags fit.')
    .option('--vhost <name>', 'of this virtual host')
    .option('--sample <part>', 'a part of them, such as 1% or 0.01')
    .option('--queue <name>', 'that go to this queue or topic')
    .option('--exchange <name>', 'that are published to this exchange')
    .option('--key <pattern>', 'with such a routing key: * is one word, # any number')
    .option('--publisher <user>', 'of this user')
    .option('--header <name=value>', 'with this header')
    .option('--id <id>', 'with this message id, correlation id or trace id')
    .option('--for <time>', 'for so long, such as 10m')
    .option('--max <number>', 'so many messages')
    .addHelpText('after', START_HELP)
    .action(async (flags: traces.TraceStartFlags) => (await load()).startTrace(flags))
}

function addWhereAndWhy(program: Command, administrative: Administrative): void {
  administrative(program.command('where <id>'))
    .summary('look for a message where it may be now')
    .description('Looks for a message by its id in queues and among the delayed ones.')
    .option('--vhost <name>', 'the virtual host', '/')
    .option('--queue <name>', 'only in this queue')
    .addHelpText('after', '\nExample:\n  waystation where order-7 --queue orders')
    .action(async (id: string, flags: WhereFlags) => {
      const { where } = await import('./whereabouts.ts')
      await where(id, flags)
    })
  administrative(program.command('why [name]'))
    .summary('say why a consumer gets nothing')
    .description('Says why a queue, topic, subscription, consumer or client gets nothing.')
    .option('--vhost <name>', 'the virtual host', '/')
    .addHelpText('after', '\nExample:\n  waystation why orders')
    .action(async (name: string | undefined, flags: WhyFlags) => {
      const { why } = await import('./whereabouts.ts')
      await why(name, flags)
    })
}

const START_HELP = `
Examples:
  waystation trace start --queue orders --for 10m
  waystation trace start --sample 1% --max 1000
  waystation trace start --exchange amq.topic --key 'eu.#' --header tenant=acme`

const SHOW_HELP = `
An id is a message id, a correlation id, a trace id (W3C), the place of a message as queue/offset or
topic/partition/offset, or # and the number of a trace.

Examples:
  waystation trace show order-7
  waystation trace show orders/1201`

async function load(): Promise<typeof traces> {
  return import('./traces.ts')
}
