/**
 * Direct reply-to of RabbitMQ with amqplib: `node amqp.ts provide PORT` or
 * `node amqp.ts call PORT IN_FLIGHT SECONDS`. `confirmed` publishes persistent messages instead,
 * and a call ends with the confirm.
 */
import amqplib from 'amqplib'
import { driveCalls } from '../drive.ts'
import { INPUT } from '../echo.ts'

const QUEUE = 'bench.echo'
const REPLIES = 'amq.rabbitmq.reply-to'
/** Far above what is in flight. */
const PREFETCH = 1024

const [role = '', port = '', inFlight = '1', seconds = '5'] = process.argv.slice(2)
const connection = await amqplib.connect(`amqp://guest:guest@127.0.0.1:${port}`)
const settings = { inFlight: Number(inFlight), seconds: Number(seconds) }
if (role === 'provide') {
  const channel = await connection.createChannel()
  await channel.assertQueue(QUEUE)
  await channel.prefetch(PREFETCH)
  await channel.consume(
    QUEUE,
    (message) => {
      if (message === null) return
      const replyTo = String(message.properties.replyTo)
      const correlationId = String(message.properties.correlationId)
      const value: unknown = JSON.parse(message.content.toString('utf8'))
      channel.sendToQueue(replyTo, Buffer.from(JSON.stringify(value)), {
        correlationId,
      })
    },
    { noAck: true },
  )
  console.log(port)
} else if (role === 'call') {
  const channel = await connection.createChannel()
  const waiting = new Map<string, (value: unknown) => void>()
  await channel.consume(
    REPLIES,
    (message) => {
      if (message === null) return
      const id = String(message.properties.correlationId)
      const done = waiting.get(id)
      waiting.delete(id)
      done?.(JSON.parse(message.content.toString('utf8')))
    },
    { noAck: true },
  )
  let last = 0
  const call = async (): Promise<unknown> =>
    new Promise((resolve) => {
      const correlationId = String(++last)
      waiting.set(correlationId, resolve)
      const body = Buffer.from(JSON.stringify(INPUT))
      channel.sendToQueue(QUEUE, body, { correlationId, replyTo: REPLIES })
    })
  console.log(JSON.stringify(await driveCalls(call, settings)))
} else {
  const channel = await connection.createConfirmChannel()
  const queue = `${QUEUE}.confirmed`
  await channel.assertQueue(queue)
  const call = async (): Promise<unknown> =>
    new Promise((resolve, reject) => {
      const body = Buffer.from(JSON.stringify(INPUT))
      channel.sendToQueue(queue, body, { persistent: true }, (error: unknown) => {
        if (error === null || error === undefined) resolve(null)
        else reject(new Error('the broker did not take it', { cause: error }))
      })
    })
  const measured = await driveCalls(call, settings)
  await channel.deleteQueue(queue)
  console.log(JSON.stringify(measured))
}
process.exitCode = 0
if (role !== 'provide') await connection.close()
