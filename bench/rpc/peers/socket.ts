/**
 * Sockets of Node without any protocol, as the floor for all that runs in Node: `node socket.ts
 * provide` sends back what comes, `node socket.ts relay PORT` passes it on, and `node socket.ts call
 * PORT IN_FLIGHT SECONDS` takes every 100 octets for an answer.
 */
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { driveCalls } from '../drive.ts'

const MESSAGE = Buffer.alloc(100)

const [role = '', port = '0', inFlight = '1', seconds = '5'] = process.argv.slice(2)
if (role === 'call') console.log(JSON.stringify(await call()))
else {
  const server = createServer({ noDelay: true }, role === 'relay' ? passOn : sendBack)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  console.log((server.address() as AddressInfo).port)
}

function sendBack(socket: Socket): void {
  socket.on('data', (bytes) => socket.write(bytes))
}

function passOn(socket: Socket): void {
  const further = connect({ port: Number(port), host: '127.0.0.1', noDelay: true })
  socket.on('data', (bytes) => further.write(bytes))
  further.on('data', (bytes) => socket.write(bytes))
}

async function call(): Promise<unknown> {
  const socket = connect({ port: Number(port), host: '127.0.0.1', noDelay: true })
  await once(socket, 'connect')
  const waiting: (() => void)[] = []
  let octets = 0
  socket.on('data', (bytes) => {
    octets += bytes.length
    for (; octets >= MESSAGE.length; octets -= MESSAGE.length) waiting.shift()!()
  })
  const one = async (): Promise<void> =>
    new Promise((resolve) => {
      waiting.push(resolve)
      socket.write(MESSAGE)
    })
  return driveCalls(one, { inFlight: Number(inFlight), seconds: Number(seconds) })
}
