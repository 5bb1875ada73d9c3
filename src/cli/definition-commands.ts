import type { Command } from 'commander'
import type { DefinitionFlags } from './definitions.ts'

/** What is declared, out of a broker and into one. */
export function addDefinitionCommands(
  program: Command,
  administrative: (command: Command) => Command,
): void {
  administrative(program.command('export [file]'))
    .summary('write users, permissions, policies, exchanges, queues, bindings to a file')
    .description(
      "Writes all that is declared, without messages, in the form of RabbitMQ's definitions; to " +
        'standard output where no file is named. Hashes of passwords are in it.',
    )
    .option('--vhost <name>', 'only what stands in this virtual host')
    .addHelpText('after', EXPORT_HELP)
    .action(async (file: string | undefined, flags: DefinitionFlags) => {
      const { exportDefinitions } = await import('./definitions.ts')
      await exportDefinitions(file, flags)
    })
  administrative(program.command('import <file>'))
    .summary('declare what a file of definitions says')
    .description(
      'Declares what a file says that export wrote, or a RabbitMQ. What stands already stays as it ' +
        'is; nothing is deleted. - reads standard input.',
    )
    .option('--vhost <name>', 'into this virtual host')
    .addHelpText('after', IMPORT_HELP)
    .action(async (file: string, flags: DefinitionFlags) => {
      const { importDefinitions } = await import('./definitions.ts')
      await importDefinitions(file, flags)
    })
}

const EXPORT_HELP = `
Examples:
  waystation export definitions.json
  waystation export --vhost shop | jq .queues`

const IMPORT_HELP = `
Examples:
  rabbitmqctl export_definitions - | waystation import -
  waystation import shop.json --vhost copy`
