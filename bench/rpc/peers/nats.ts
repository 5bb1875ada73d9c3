/**
 * Request and reply of NATS with its own client: `node nats.ts provide HOST:PORT` or
 * `node nats.ts call HOST:PORT IN_FLIGHT SECONDS`.
 */
import { connect } from '@nats-io/transport-node'
import { driveCalls } from '../drive.ts'
import { INPUT } from '../echo.ts'

const SUBJECT = 'bench.echo'
const TIMEOUT_MS = 10_000

const [role = '', url = '', inFlight = '1', seconds = '5'] = process.argv.slice(2)
const connection = await connect({ servers: url })
if (role === 'provide') {
  connection.subscribe(SUBJECT, {
    callback: (error, message) => {
      if (error !== null) throw error
      message.respond(JSON.stringify(message.json()))
    },
  })
  await connection.flush()
  console.log(url)
} else {
  const call = async (): Promise<unknown> => {
    const reply = await connection.request(SUBJECT, JSON.stringify(INPUT), { timeout: TIMEOUT_MS })
    return reply.json()
  }
  const settings = { inFlight: Number(inFlight), seconds: Number(seconds) }
  console.log(JSON.stringify(await driveCalls(call, settings)))
}
