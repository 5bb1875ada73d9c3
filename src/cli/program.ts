import { Command } from 'commander'
import { packageVersion } from '../server/version.ts'
import type { AlterFlags } from './alter.ts'
import type { AttachFlags } from './attach.ts'
import { addBackupCommands } from './backup-commands.ts'
import { addBenchCommands } from './bench-commands.ts'
import { addCallCommands } from './call-commands.ts'
import { addContractCommands } from './contract-commands.ts'
import type * as changes from './changes.ts'
import { addDefinitionCommands } from './definition-commands.ts'
import type { DoctorFlags } from './doctor.ts'
import type { FsckFlags } from './fsck.ts'
import { EXIT } from './exit-code.ts'
import { LISTINGS, type ListFlags } from './listings.ts'
import { addMessageCommands } from './message-commands.ts'
import type { RedriveFlags, ResumeFlags } from './redrive.ts'
import { addScheduleCommands } from './schedule-commands.ts'
import type { SettingsFlags } from './settings.ts'
import type { StartFlags } from './config-flags.ts'
import type { StatusFlags } from './status.ts'
import type { TopFlags } from './top.ts'
import { addTraceCommands } from './trace-commands.ts'

/**
 * The whole command line. What a command does is loaded when it is called, so that `--help` and
 * quick questions do not wait for the broker's code. `exitWith` takes each command's exit code.
 */
export function createProgram(exitWith: (code: number) => void): Command {
  const program = new Command('waystation')
    .description('A message broker for the clients you already have.')
    .version(packageVersion(), '-V, --version')
    .helpCommand(true)
    .showHelpAfterError('(waystation --help shows what there is)')
    .showSuggestionAfterError(true)
    .addHelpText('after', () => PROGRAM_EXAMPLES)
  addStart(program, exitWith)
  addStatus(program)
  addTop(program)
  addListings(program)
  addUserCommands(program)
  addPolicyCommands(program)
  addVhostCommands(program)
  addLimitCommands(program)
  addQueueCommands(program)
  addMessageCommands(program, inVhost)
  addRedrive(program)
  addScheduleCommands(program, inVhost)
  addTraceCommands(program, administrative)
  addBackupCommands(program)
  addDefinitionCommands(program, administrative)
  addCallCommands(program)
  addContractCommands(program, exitWith)
  addAttach(program, exitWith)
  addBenchCommands(program)
  addFsck(program, exitWith)
  return program
}

const PROGRAM_EXAMPLES = `
Examples:
  waystation start                             a broker for this machine
  waystation start --data memory --listen amqp=0
  waystation status
  waystation queues list --json
  waystation add-user alice --tag administrator

Completion in your shell (bash, zsh, fish, powershell):
  source <(waystation complete bash)`

function addStart(program: Command, exitWith: (code: number) => void): void {
  configured(program.command('start'))
    .summary('run a broker until it is stopped')
    .description('Runs a broker until SIGTERM or Ctrl+C stops it.')
    .option('--log-level <level>', 'trace, debug, info, warn, error or silent')
    .option('--log-format <format>', 'auto, pretty or json')
    .addHelpText('after', START_HELP)
    .action(async (flags: StartFlags) => {
      const { start } = await import('./start.ts')
      exitWith(await start(flags))
    })
  configured(program.command('doctor'))
    .summary('say what would keep a broker from working well here')
    .description(
      'Looks at what a broker started with these settings would need: the configuration, the data ' +
        'directory and its disk, the ports, certificates, limits of the system.',
    )
    .option('--json', 'print JSON')
    .addHelpText('after', DOCTOR_HELP)
    .action(async (flags: DoctorFlags) => {
      const { doctor } = await import('./doctor.ts')
      exitWith(await doctor(flags))
    })
  program
    .command('settings [word]')
    .summary('list what can be set, and how')
    .description('Lists every setting, or those with the word in key or text.')
    .option('--json', 'print JSON')
    .addHelpText('after', '\nExamples:\n  waystation settings\n  waystation settings tls')
    .action(async (word: string | undefined, flags: SettingsFlags) => {
      const { settings } = await import('./settings.ts')
      settings(word, flags)
    })
}

/** Adds the flags that say how a broker is to work. */
function configured(command: Command): Command {
  return command
    .option('--data <dir>', "where messages are kept, or 'memory'")
    .option('--config <file>', 'settings in YAML or JSON')
    .option('--listen <name=address>', 'such as amqp=127.0.0.1:5672, http=0 or http=off', collect)
    .option('--tls-cert <file>', 'PEM file with the certificate for listeners over TLS')
    .option('--tls-key <file>', 'PEM file with its private key')
    .option('--tls-ca <file>', 'PEM file with the authorities of client certificates')
    .option('--set <key=value>', 'any setting, such as limits.messageSize=16MiB', collect)
}

const DOCTOR_HELP = `
Nothing is changed, and nothing is said of messages: 'waystation status' tells of a broker that
runs, 'waystation fsck' reads what is stored.

Examples:
  waystation doctor
  waystation doctor --config waystation.yaml --json

Exit codes: 0 nothing is in the way, 1 something is.`

const START_HELP = `
Flags win over environment variables (WAYSTATION_LISTEN_AMQP, WAYSTATION_DATA, …), these over the
file. docs/configuration.md lists every setting.

Examples:
  waystation start
  waystation start --data ./data --listen amqp=127.0.0.1:5673 --listen http=off
  waystation start --listen amqps=*:5671 --tls-cert server.pem --tls-key server.key
  waystation start --config waystation.yaml

Exit codes: 0 stopped, 2 wrong arguments, 73 data directory unusable, 75 port or data directory
taken, 77 refused for safety, 78 wrong configuration, 1 anything else.`

function addAttach(program: Command, exitWith: (code: number) => void): void {
  program
    .command('attach')
    .summary('let a gRPC server provide services through the broker')
    .description(
      'Stands in front of a gRPC server, which need not know of it: registers its services with ' +
        'the broker while the server can be reached, and hands calls on.',
    )
    .requiredOption('--service <name>', 'full name of a service; may come more than once', collect)
    .requiredOption('--to <host:port>', 'where the gRPC server listens')
    .option('--broker <url>', 'rpc://HOST:PORT/VHOST, or rpcs: over TLS', 'rpc://127.0.0.1:7700')
    .option('--user <name>', 'log in as; the password is asked for, or WAYSTATION_PASSWORD')
    .option('--concurrency <number>', 'calls at once', '128')
    .option('--instance <id>', 'names this instance to people; default: drawn by lot')
    .option('--label <name=value>', 'labels of this instance', collect)
    .option('--weight <number>', 'how much it gets beside others', '1')
    .option('--tls', 'the server speaks TLS')
    .option('--tls-ca <file>', 'PEM file with the authorities of its certificate')
    .addHelpText(
      'after',
      '\nExample:\n  waystation attach --service shop.v1.Orders --to 127.0.0.1:50051',
    )
    .action(async (flags: AttachFlags) => {
      const { attach } = await import('./attach.ts')
      exitWith(await attach(flags))
    })
}

function addStatus(program: Command): void {
  administrative(program.command('status'))
    .summary('say what runs, where, and whether it is well')
    .description('Says what runs, where, and whether it is well.')
    .action(async (flags: StatusFlags) => {
      const { status } = await import('./status.ts')
      await status(flags)
    })
}

function addTop(program: Command): void {
  administrative(program.command('top'))
    .summary('show what the broker does, once a second')
    .description('Shows rates, and the destinations with most in them, once a second until Ctrl+C.')
    .option(
      '--sort <column>',
      'name, ready, unsettled, held, lag, consumers or readyBytes',
      'ready',
    )
    .option('--count <number>', 'end after so many seconds')
    .addHelpText(
      'after',
      '\nExamples:\n  waystation top --sort lag\n  waystation top --json --count 60',
    )
    .action(async (flags: TopFlags) => {
      const { top } = await import('./top.ts')
      await top(flags)
    })
}

function addListings(program: Command): void {
  for (const listing of LISTINGS) {
    const { noun, summary } = listing
    const group = program.command(noun).summary(`list ${summary}`)
    group.description(`About ${summary}.`)
    const command = administrative(group.command('list', { isDefault: true }))
    if (listing.isPerVhost) command.option('--vhost <name>', 'only those of this virtual host')
    command
      .description(`Lists ${summary}.`)
      .addHelpText('after', `\nExample:\n  waystation ${noun} list --json`)
      .action(async (flags: ListFlags) => {
        const { list } = await import('./listings.ts')
        await list(listing, flags)
      })
  }
}

function addUserCommands(program: Command): void {
  administrative(program.command('add-user <name>'))
    .summary('add a user')
    .description('Adds a user. The password is asked for, or is the first line of standard input.')
    .option('--tag <tag>', 'such as administrator; may be repeated', collect)
    .option('--no-password', 'a user that logs in by client certificate alone')
    .addHelpText(
      'after',
      "\nExample:\n  echo 'secret' | waystation add-user alice --tag administrator",
    )
    .action(async (name: string, flags: changes.AddUserFlags) =>
      (await load()).addUser(name, flags),
    )
  administrative(program.command('delete-user <name>'))
    .summary('delete a user')
    .description('Deletes a user and closes its connections.')
    .action(async (name: string, flags: changes.ChangeFlags) => {
      await (await load()).deleteUser(name, flags)
    })
  administrative(program.command('change-password <name>'))
    .summary("change a user's password")
    .description('Changes a password. It is asked for, or is the first line of standard input.')
    .action(async (name: string, flags: changes.ChangeFlags) => {
      await (await load()).changePassword(name, flags)
    })
  administrative(program.command('set-tags <name> [tags...]'))
    .summary('set the tags of a user')
    .description('Sets the tags of a user; without any, removes them.')
    .addHelpText('after', '\nExample:\n  waystation set-tags alice administrator')
    .action(async (name: string, tags: string[], flags: changes.ChangeFlags) => {
      await (await load()).setTags(name, tags, flags)
    })
  inVhost(program.command('set-permissions <user> <configure> <write> <read>'))
    .summary('allow a user what')
    .description(
      'Allows a user what matches these regular expressions: names it may declare and delete, ' +
        'publish to, and consume from.',
    )
    .addHelpText('after', "\nExample:\n  waystation set-permissions alice '^alice\\.' '.*' '.*'")
    .action(
      async (
        user: string,
        configure: string,
        write: string,
        read: string,
        flags: changes.VhostFlags,
      ) => {
        await (await load()).setPermissions(user, { configure, write, read }, flags)
      },
    )
  inVhost(program.command('clear-permissions <user>'))
    .summary('allow a user nothing any more')
    .description('Allows a user nothing any more in a virtual host.')
    .action(async (user: string, flags: changes.VhostFlags) => {
      await (await load()).clearPermissions(user, flags)
    })
}

function addPolicyCommands(program: Command): void {
  inVhost(program.command('set-policy <name> <pattern> <definition>'))
    .summary('set queues and exchanges by the pattern of their names')
    .description(
      'Settings, as JSON with the keys of RabbitMQ, for every queue or exchange whose name matches.',
    )
    .option(
      '--apply-to <what>',
      'all, queues, classic_queues, quorum_queues, streams or exchanges',
      'all',
    )
    .option('--priority <number>', 'the highest one that matches counts', '0')
    .addHelpText('after', SET_POLICY_EXAMPLE)
    .action(
      async (name: string, pattern: string, definition: string, flags: changes.PolicyFlags) => {
        await (await load()).setPolicy({ name, pattern, definition }, flags)
      },
    )
  inVhost(program.command('delete-policy <name>'))
    .summary('delete a policy')
    .description('Deletes a policy; what it set is as it was declared again.')
    .action(async (name: string, flags: changes.VhostFlags) => {
      await (await load()).deletePolicy(name, flags)
    })
}

const SET_POLICY_EXAMPLE = `
Example:
  waystation set-policy short '^log\\.' '{"max-length": 10000}' --apply-to queues`

const DECLARE_MISMATCH_HELP = `
Modes: fail refuses the declaration, warn lets it pass and writes to the log, adopt gives the queue
the new settings.

Example:
  waystation set-declare-mismatch / adopt`

function addVhostCommands(program: Command): void {
  administrative(program.command('add-vhost <name>'))
    .summary('add a virtual host')
    .description('Adds a virtual host.')
    .action(async (name: string, flags: changes.ChangeFlags) => {
      await (await load()).addVhost(name, flags)
    })
  administrative(program.command('set-declare-mismatch <vhost> <mode>'))
    .summary('say what happens when a queue is declared with other settings')
    .description('Says what happens when a queue or stream is declared again with other settings.')
    .addHelpText('after', DECLARE_MISMATCH_HELP)
    .action(async (name: string, mode: string, flags: changes.ChangeFlags) => {
      await (await load()).setDeclareMismatch(name, mode, flags)
    })
  administrative(program.command('delete-vhost <name>'))
    .summary('delete a virtual host with everything in it')
    .description('Deletes a virtual host with everything in it.')
    .action(async (name: string, flags: changes.ChangeFlags) => {
      await (await load()).deleteVhost(name, flags)
    })
}

function addLimitCommands(program: Command): void {
  inVhost(program.command('set-vhost-limits <definition>'))
    .summary('say what a virtual host may use')
    .description('Says what a virtual host may use; what is not named is unlimited.')
    .addHelpText('after', LIMITS_HELP)
    .action(async (definition: string, flags: changes.VhostFlags) => {
      await (await load()).setVhostLimits(definition, flags)
    })
  inVhost(program.command('clear-vhost-limits'))
    .summary('let a virtual host use what it likes')
    .description('Takes all limits from a virtual host.')
    .action(async (flags: changes.VhostFlags) => {
      await (await load()).clearVhostLimits(flags)
    })
  administrative(program.command('set-user-limits <user> <definition>'))
    .summary('say what a user may use')
    .description('Says what a user may use, all its connections together; others stay as they are.')
    .addHelpText('after', LIMITS_HELP)
    .action(async (user: string, definition: string, flags: changes.ChangeFlags) => {
      await (await load()).setUserLimits(user, definition, flags)
    })
  administrative(program.command('clear-user-limits <user> <limit>'))
    .summary('take a limit from a user')
    .description("Takes a limit from a user; 'all' takes all of them.")
    .action(async (user: string, limit: string, flags: changes.ChangeFlags) => {
      await (await load()).clearUserLimits(user, limit, flags)
    })
}

const LIMITS_HELP = `
Limits of both: max-connections, max-channels, max-sessions, max-consumers, max-message-size (bytes),
publish-rate, publish-rate-bytes, consume-rate, consume-rate-bytes (per second), rate-burst
(milliseconds), max-length, max-length-bytes; of a virtual host: max-queues, max-partitions,
max-exchanges, max-bindings. Numbers below 0 take a limit away.

Examples:
  waystation set-vhost-limits --vhost / '{"max-queues": 1000, "publish-rate": 5000}'
  waystation set-user-limits ann '{"max-connections": 10, "publish-rate-bytes": 1000000}'`

function addQueueCommands(program: Command): void {
  inVhost(program.command('purge <queue>'))
    .summary('drop every message that waits in a queue')
    .description('Drops every message that waits in a queue.')
    .action(async (queue: string, flags: changes.VhostFlags) => {
      await (await load()).purge(queue, flags)
    })
  inVhost(program.command('delete-queue <queue>'))
    .summary('delete a queue with its messages')
    .description('Deletes a queue with its messages.')
    .option('--if-unused', 'only when nobody consumes from it')
    .option('--if-empty', 'only when no message waits in it')
    .action(async (queue: string, flags: changes.DeleteQueueFlags) => {
      await (await load()).deleteQueue(queue, flags)
    })
  inVhost(program.command('alter <name>'))
    .summary('change a queue or topic while it lives')
    .description('Changes a queue or topic while it lives and holds messages.')
    .option('--argument <name=value>', 'set it; may be repeated', collect)
    .option('--remove-argument <name>', 'take it away; may be repeated', collect)
    .option('--partitions <number>', 'of a topic; it can only have more')
    .option('--profile <profile>', 'topic or queue: what is in it is kept, in its order')
    .addHelpText('after', ALTER_HELP)
    .action(async (name: string, flags: AlterFlags) => {
      const { alter } = await import('./alter.ts')
      await alter(name, flags)
    })
  administrative(program.command('close-connection <id>'))
    .summary('close the connection of a client')
    .description("Closes a client's connection; 'connections list' shows the ids.")
    .action(async (id: string, flags: changes.ChangeFlags) => {
      await (await load()).closeConnection(id, flags)
    })
}

const ALTER_HELP = `
Arguments are those that AMQP 0-9-1 clients declare queues with and Kafka's topic configuration;
numbers, true and false are taken as such. Everything is looked at before anything is changed.

Examples:
  waystation alter orders --argument x-max-length=10000 --argument x-overflow=reject-publish
  waystation alter orders --remove-argument x-message-ttl
  waystation alter events --partitions 12 --argument retention.ms=86400000
  waystation alter orders --profile topic --argument x-max-age=7D`

function addRedrive(program: Command): void {
  inVhost(program.command('redrive <queue>'))
    .summary('move dead letters back to where they died, or elsewhere')
    .description(
      'Moves what waits in a queue: each message to the queue it died in, or to where you say.',
    )
    .option('--to <queue>', 'all of them to this queue')
    .option('--exchange <name>', 'all of them to this exchange')
    .option('--key <key>', 'with this routing key; default: the one the message bears')
    .option('--reason <reason>', 'only what is rejected, expired, maxlen or delivery_limit')
    .option('--died-in <queue>', 'only what died in this queue last')
    .option('--with-key <key>', 'only what bears this routing key')
    .option('--error <text>', 'only what failed last with this in the error its consumer gave')
    .option('--id <id>', 'only with this message id, correlation id or trace id')
    .option('--older-than <seconds>', 'only what waits so long')
    .option('--newer-than <seconds>', 'only what waits no longer')
    .option('--header <name=value>', 'only with this header; may be repeated', collect)
    .option('--set-header <name=value>', 'on the way; may be repeated', collect)
    .option('--remove-header <name>', 'on the way; may be repeated', collect)
    .option('--set-body-file <file>', 'what is in the file in place of the body')
    .option('--rate <number>', 'messages per second')
    .option('--limit <number>', 'no more than so many')
    .option('--dry-run', 'count and move nothing')
    .addHelpText('after', REDRIVE_HELP)
    .action(async (queue: string, flags: RedriveFlags) => {
      const { redrive } = await import('./redrive.ts')
      await redrive(queue, flags)
    })
  administrative(program.command('resume-redrive <id>'))
    .summary('go on with a redrive that was cancelled or failed')
    .description("Goes on where a redrive stood; 'redrives list' shows the ids.")
    .action(async (id: string, flags: ResumeFlags) => {
      const { resumeRedrive } = await import('./redrive.ts')
      await resumeRedrive(id, flags)
    })
  administrative(program.command('cancel-redrive <id>'))
    .summary('stop a redrive')
    .description('Stops a redrive; what was moved stays moved.')
    .action(async (id: string, flags: ResumeFlags) => {
      const { cancelRedrive } = await import('./redrive.ts')
      await cancelRedrive(id, flags)
    })
}

const REDRIVE_HELP = `
Each message is moved as a whole or not at all, and a redrive goes on by itself after a restart.

Examples:
  waystation redrive dead --dry-run
  waystation redrive dead --reason rejected --rate 100
  waystation redrive dead --to inspect --header tenant=acme --limit 10`

function addFsck(program: Command, exitWith: (code: number) => void): void {
  program
    .command('fsck <dir>')
    .summary('check a data directory that no broker uses')
    .description('Checks every entry in a data directory. The broker must be stopped.')
    .option('--repair', 'cut out what is damaged; says what is lost', false)
    .option('--json', 'print JSON', false)
    .addHelpText('after', FSCK_HELP)
    .action(async (directory: string, flags: FsckFlags) => {
      const { fsck } = await import('./fsck.ts')
      exitWith(await fsck(directory, flags))
    })
}

const FSCK_HELP = `
Examples:
  waystation fsck ./data
  waystation fsck ./data --repair

Exit codes: ${EXIT.DONE} no damage or all repaired, ${EXIT.FAILED} damage found, ${EXIT.TAKEN} a broker uses the directory.`

/** The flags that say which broker is meant. */
function administrative(command: Command): Command {
  return command
    .option('--data <dir>', 'the data directory of the broker')
    .option('--config <file>', 'the configuration file that names the data directory')
    .option('--url <url>', 'the HTTP API of the broker, such as http://127.0.0.1:15672')
    .option('--user <name>', 'log in as; the password is asked for, or WAYSTATION_PASSWORD')
    .option('--json', 'print JSON')
}

function inVhost(command: Command): Command {
  return administrative(command).option('--vhost <name>', 'the virtual host', '/')
}

function collect(value: string, before: readonly string[] | undefined): string[] {
  return [...(before ?? []), value]
}

async function load(): Promise<typeof changes> {
  return import('./changes.ts')
}
