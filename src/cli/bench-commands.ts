import type { Command } from 'commander'
import type { BenchFlags } from './bench.ts'

/** Load, for whoever wants to know what a broker takes on this machine. */
export function addBenchCommands(program: Command): void {
  program
    .command('bench')
    .summary('load a broker and say how it did')
    .description(
      'Publishes and consumes as fast as the broker lets it, or at a rate, and says how many ' +
        'messages a second there were and how long they took.',
    )
    .option('--start', 'load a broker that is started for it, with an empty store')
    .option('--broker <url>', 'any broker, such as amqp://127.0.0.1:5672 or mqtt://127.0.0.1')
    .option('--data <dir>', 'the data directory of the broker')
    .option('--config <file>', 'the configuration file that names the data directory')
    .option('--user <name>', 'log in as; the password is asked for, or WAYSTATION_PASSWORD')
    .option('--protocol <name>', 'amqp or mqtt', 'amqp')
    .option('--publishers <number>', 'how many connections publish', '1')
    .option('--consumers <number>', 'how many consume; each of MQTT gets every message', '1')
    .option('--queues <number>', 'durable queues that share the messages', '1')
    .option('--size <bytes>', 'of each body, such as 100 or 64KiB', '100')
    .option('--for <time>', 'how long to publish', '10s')
    .option('--count <number>', 'end after so many messages')
    .option('--rate <number>', 'messages a second; 0: as many as are confirmed', '0')
    .option('--window <number>', 'unconfirmed messages of a publisher', '1000')
    .option('--prefetch <number>', 'unacknowledged messages of a consumer', '1000')
    .option('--qos <number>', 'of MQTT', '1')
    .option('--json', 'print JSON')
    .addHelpText('after', HELP)
    .action(async (flags: BenchFlags) => {
      const { bench } = await import('./bench.ts')
      await bench(flags)
    })
}

const HELP = `
Messages are persistent, publishes are confirmed and deliveries acknowledged. A run fails unless each
message that was confirmed was consumed once. Queues and topics are its own and gone afterwards; all
else on that broker waits for the same disk meanwhile. Latency at full speed is that of a queue as
long as the window: for the latency of a message, give a rate.

Examples:
  waystation bench --start
  waystation bench --start --size 1KiB --publishers 2 --consumers 2 --queues 2
  waystation bench --broker amqp://127.0.0.1:5672 --rate 5000 --for 30s --json
  waystation bench --protocol mqtt --qos 1 --consumers 10`
