import type { Command } from 'commander'
import type * as schedules from './schedules.ts'

/** Adds the flags that say which broker and virtual host is meant. */
type InVhost = (command: Command) => Command

/** What waits for its time, and what comes again and again. `recurring` has its listing already. */
export function addScheduleCommands(program: Command, inVhost: InVhost): void {
  addPending(program, inVhost)
  const recurring = program.commands.find((command) => command.name() === 'recurring')!
  addRecurring(recurring, inVhost)
}

function addPending(program: Command, inVhost: InVhost): void {
  const group = program
    .command('schedules')
    .summary('messages that wait for their time')
    .description('About messages that wait for their time.')
  inVhost(group.command('list', { isDefault: true }))
    .description('Lists what waits, a page at a time, in the order it was published.')
    .option('--from <number>', 'where the page starts, as the page before said')
    .option('--limit <number>', 'messages on the page, up to 1000; default 50')
    .action(async (flags: schedules.PageFlags) => (await load()).listSchedules(flags))
  inVhost(group.command('show <id>'))
    .description('Shows one of them.')
    .action(async (id: string, flags: schedules.ScheduleFlags) => {
      await (await load()).showSchedule('schedules', id, flags)
    })
  inVhost(group.command('cancel <id>'))
    .description('Drops one of them: it is never delivered.')
    .action(async (id: string, flags: schedules.ScheduleFlags) => {
      await (await load()).cancelSchedule(id, flags)
    })
  inVhost(group.command('move <id>'))
    .description('Changes when one of them is due.')
    .option('--at <time>', 'such as 2027-01-31T09:00:00Z, or milliseconds since 1970')
    .option('--after <seconds>', 'so many seconds from now')
    .addHelpText('after', '\nExample:\n  waystation schedules move invoice-7 --after 3600')
    .action(async (id: string, flags: schedules.MoveFlags) => {
      await (await load()).moveSchedule(id, flags)
    })
  inVhost(group.command('fire <id>'))
    .description('Delivers one of them now.')
    .action(async (id: string, flags: schedules.ScheduleFlags) => {
      await (await load()).fireSchedule('schedules', id, flags)
    })
}

function addRecurring(group: Command, inVhost: InVhost): void {
  inVhost(group.command('show <name>'))
    .description('Shows one of them.')
    .action(async (name: string, flags: schedules.ScheduleFlags) => {
      await (await load()).showSchedule('recurring', name, flags)
    })
  inVhost(group.command('set <name> <cron>'))
    .description(
      'Publishes a message whenever a cron expression says so; replaces that of the name.',
    )
    .option('--zone <zone>', 'time zone of the expression, such as Europe/Berlin; default UTC')
    .option('--exchange <name>', 'where it is published; default: to the queue of the key')
    .option('--key <key>', 'its routing key')
    .option('--body <text>', 'what it says')
    .option('--header <name=value>', 'may be repeated', collect)
    .option('--content-type <type>', 'of the body')
    .option('--start <time>', 'not before')
    .option('--end <time>', 'not after')
    .option('--count <number>', 'no more often')
    .option('--missed <what>', 'times at which the broker is down: skip or once; default skip')
    .addHelpText('after', SET_HELP)
    .action(async (name: string, cron: string, flags: schedules.RecurringFlags) => {
      await (await load()).setRecurring(name, cron, flags)
    })
  inVhost(group.command('delete <name>'))
    .description('Deletes one of them: it is not published any more.')
    .action(async (name: string, flags: schedules.ScheduleFlags) => {
      await (await load()).deleteRecurring(name, flags)
    })
  inVhost(group.command('fire <name>'))
    .description('Publishes the message of one of them once more, now.')
    .action(async (name: string, flags: schedules.ScheduleFlags) => {
      await (await load()).fireSchedule('recurring', name, flags)
    })
}

const SET_HELP = `
Examples:
  waystation recurring set report '0 9 * * 1-5' --zone Europe/Berlin --key reports --body daily
  waystation recurring set tick '*/30 * * * * *' --exchange clock --key tick`

function collect(value: string, before: readonly string[] | undefined): string[] {
  return [...(before ?? []), value]
}

async function load(): Promise<typeof schedules> {
  return import('./schedules.ts')
}
