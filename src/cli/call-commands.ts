import { type Command, Option } from 'commander'
import type { CallFlags } from './call.ts'

/** Calls from the command line. */
export function addCallCommands(program: Command): void {
  const collect = (value: string, before: readonly string[] = []): string[] => [...before, value]
  program
    .command('call <method>')
    .summary('call a method of a service')
    .description(
      'Calls a method of a service with JSON and prints each answer as a line of JSON. Several ' +
        'messages are a stream.',
    )
    .addOption(
      new Option('-d, --data <json>', 'a message; may be given several times').argParser(collect),
    )
    .option('--url <url>', 'the broker, or a provider that listens (rpc://127.0.0.1:7700)')
    .option('--deadline <time>', 'how long to wait for the end (10s)')
    .addOption(
      new Option('--metadata <name=value>', 'sent along; several times').argParser(collect),
    )
    .option('--durable', 'have the call stored until it is done, and print its id')
    .option('--key <key>', 'durable: the same key is the same call')
    .option('--order-key <key>', 'durable: calls with the same one are done one after the other')
    .option('--delay <time>', 'durable: no provider gets it sooner')
    .option('--outcome <id>', 'wait for the outcome of a durable call, and print it')
    .option('--cancel <id>', 'end a durable call that no provider has')
    .addHelpText('after', HELP)
    .action(async (method: string, flags: CallFlags) => {
      const { call } = await import('./call.ts')
      await call(method, flags)
    })
}

const HELP = `
WAYSTATION_RPC_URL may hold the URL, with user and password.

Example:
  waystation call shop.v1.Orders/place -d '{"sku":"tea"}' --deadline 2s
  waystation call shop.v1.Orders/place -d '{"sku":"tea"}' --durable --key order-7
  waystation call shop.v1.Orders/place --outcome 0rH2vJmZ5VQ2M1nOuQvW3g --deadline 1m`
