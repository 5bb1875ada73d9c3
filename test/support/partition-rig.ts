import assert from 'node:assert/strict'
import { type DestinationSpec, type Partition, type Piece, Topic } from '../../src/broker/index.ts'
import { type BrokerRig, openBroker, queueSpec, reopenBroker, turns } from './broker-rig.ts'
import { decodeTestBatch, TEST_FORM } from './test-batches.ts'

type Opening = Parameters<typeof openBroker>[0]

/** A broker that knows test batches. */
export async function openTopicBroker(given: Opening = {}): Promise<BrokerRig> {
  const rig = await openBroker(given)
  rig.broker.registerForm(TEST_FORM)
  return rig
}

export async function reopenTopicBroker(
  rig: BrokerRig,
  limits?: NonNullable<Opening>['limits'],
): Promise<BrokerRig> {
  const next = await reopenBroker(rig, limits)
  next.broker.registerForm(TEST_FORM)
  return next
}

function topicSpec(name: string, more: Partial<DestinationSpec> = {}): DestinationSpec {
  return queueSpec(name, {}, { profile: 'topic', ...more })
}

export async function declareTopic(
  { vhost }: BrokerRig,
  name: string,
  more: Partial<DestinationSpec> = {},
): Promise<Topic> {
  const topic = await vhost.declareQueue(topicSpec(name, more))
  assert.ok(topic instanceof Topic)
  return topic
}

export function topicOf({ vhost }: BrokerRig, name: string): Topic {
  const topic = vhost.destination(name)
  assert.ok(topic instanceof Topic)
  return topic
}

export async function read(
  partition: Partition,
  from: number = partition.startOffset,
  options: { readonly bytesMax?: number; readonly below?: number } = {},
): Promise<readonly Piece[]> {
  return new Promise((resolve, reject) => {
    partition.readFrom(
      from,
      options.bytesMax ?? Infinity,
      (error, pieces) => {
        if (error === null) resolve(pieces)
        else reject(error)
      },
      { below: options.below },
    )
  })
}

/** What a piece holds, such as `0: a b`; a message that came by itself with its body. */
export function textOf(piece: Piece): string {
  const { data, start, end, baseOffset } = piece
  if (piece.kind === 'message') return `${baseOffset}: message`
  const batch = decodeTestBatch(data, start, end)
  assert.equal(batch.baseOffset, baseOffset)
  return `${baseOffset}: ${batch.marker ?? batch.messages.map(({ body }) => body ?? '-').join(' ')}`
}

export async function readTexts(partition: Partition, from?: number): Promise<string[]> {
  await turns()
  return (await read(partition, from)).map(textOf)
}
