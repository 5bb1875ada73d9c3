import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Broker, CommitListener } from '../../broker/index.ts'
import { PACKET } from '../../codec/mqtt/index.ts'
import { Acks, type AckSender } from './acks.ts'

/** Acks looks at no more of an engine's error than that it is there. */
type Fault = Parameters<CommitListener['committed']>[1]

/** A broker whose commits end when the test says so. */
function rig(): { acks: Acks; sent: string[]; commit: (error?: Error) => void; turn: () => void } {
  const waiting: CommitListener[] = []
  const sent: string[] = []
  const broker = {
    ticket: 1,
    onCommit(listener: CommitListener) {
      waiting.push(listener)
      return broker.ticket
    },
  }
  const sender: AckSender = {
    // Acks asks for no more of a broker than this.
    broker: broker as unknown as Broker,
    sendAck: (type, packetId, reasonCode) => sent.push(`${type} ${packetId} ${reasonCode}`),
    storeFailed: (error) => sent.push(error.message),
  }
  const acks = new Acks(sender)
  return {
    acks,
    sent,
    commit: (error) => waiting.shift()!.committed(0, (error ?? null) as Fault),
    turn: () => void broker.ticket++,
  }
}

test('acknowledgements go out when what they stand for is stored, in their order', () => {
  const { acks, sent, commit, turn } = rig()
  acks.add(PACKET.PUBACK, 1, 0)
  acks.add(PACKET.PUBREC, 65_535, 0x10)
  turn()
  acks.add(PACKET.PUBCOMP, 3, 0x92)
  assert.equal(acks.publishCount, 1)
  assert.deepEqual(sent, [])
  commit()
  assert.deepEqual(sent, ['4 1 0', '5 65535 16'])
  commit()
  assert.deepEqual(sent, ['4 1 0', '5 65535 16', '7 3 146'])
  assert.equal(acks.publishCount, 0)
})

// Section 4.8 of MQTT 3.1.1: the connection ends, and the client sends it again.
test('what could not be stored is not acknowledged and ends the connection', () => {
  const { acks, sent, commit } = rig()
  acks.add(PACKET.PUBACK, 1, 0)
  commit(new Error('the disk broke'))
  assert.deepEqual(sent, ['the disk broke'])
})
