import type { Command } from 'commander'
import type { BackupFlags, RestoreFlags } from './backup.ts'

/** A copy of everything the broker keeps, made while it works, and the way back. */
export function addBackupCommands(program: Command): void {
  program
    .command('backup <directory>')
    .summary('copy all that a running broker keeps')
    .description(
      'Copies messages, destinations, users and policies of a running broker of this machine as ' +
        'they stand at one moment, and checks the copy. The broker works on meanwhile.',
    )
    .option('--data <dir>', 'the data directory of the broker')
    .option('--config <file>', 'the configuration file that names the data directory')
    .option('--json', 'print JSON')
    .addHelpText('after', BACKUP_HELP)
    .action(async (directory: string, flags: BackupFlags) => {
      const { backup } = await import('./backup.ts')
      await backup(directory, flags)
    })
  program
    .command('restore <directory>')
    .summary('make a data directory from a backup')
    .description('Copies a backup into an empty data directory and checks every byte of it.')
    .requiredOption('--data <dir>', 'the data directory to make; not there yet, or empty')
    .option('--json', 'print JSON')
    .addHelpText('after', RESTORE_HELP)
    .action(async (directory: string, flags: RestoreFlags) => {
      const { restore } = await import('./backup.ts')
      await restore(directory, flags)
    })
}

const BACKUP_HELP = `
The directory must not be there yet, or be empty. The configuration file and certificates are not
part of a backup.

Example:
  waystation backup /backups/$(date +%F)`

const RESTORE_HELP = `
Example:
  waystation restore /backups/2027-01-31 --data /var/lib/waystation`
