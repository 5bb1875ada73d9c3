import { BatchDraft } from '../../src/broker/index.ts'
import { NO_PROPERTIES } from '../../src/model/canonical-properties.ts'
import type { BatchForm, NativeForm, OpenedMessage } from '../../src/model/native-form.ts'

/** The id of a native form that only tests have. */
export const TEST_FORM_ID = 200

/** A message of a test batch; body null is a tombstone. */
export interface TestMessage {
  readonly key?: string | null
  readonly body: string | null
  readonly timestampMs?: number
}

/** What a batch looks like inside. */
interface TestBatch {
  baseOffset: number
  readonly marker?: 'commit' | 'abort'
  readonly messages: readonly (TestMessage & { readonly offsetDelta: number })[]
}

const PLACE_BYTES = 8

function encode(batch: TestBatch): Buffer {
  const json = Buffer.from(JSON.stringify({ ...batch, baseOffset: 0 }))
  const bytes = Buffer.alloc(PLACE_BYTES + json.length)
  json.copy(bytes, PLACE_BYTES)
  return bytes
}

/** Reads a batch as it was stored: with its place. */
export function decodeTestBatch(bytes: Buffer, start: number, end: number): TestBatch {
  const batch = JSON.parse(bytes.toString('utf8', start + PLACE_BYTES, end)) as TestBatch
  return { ...batch, baseOffset: bytes.readDoubleBE(start) }
}

const BATCH: BatchForm = {
  place(bytes, start, _end, baseOffset) {
    bytes.writeDoubleBE(baseOffset, start)
  },
  open(bytes, start, end): OpenedMessage[] {
    const { messages, marker } = decodeTestBatch(bytes, start, end)
    if (marker !== undefined) return []
    return messages.map(({ key = null, body, timestampMs = -1, offsetDelta }) => ({
      offsetDelta,
      timestampMs,
      header: Buffer.from(key ?? ''),
      body: Buffer.from(body ?? ''),
      key: key ?? '',
    }))
  },
  marker({ isCommit }) {
    return encode({ baseOffset: 0, marker: isCommit ? 'commit' : 'abort', messages: [] })
  },
  compact(bytes, start, end, keeps) {
    const batch = decodeTestBatch(bytes, start, end)
    const messages = batch.messages.filter(({ key = null, body, timestampMs = -1, offsetDelta }) =>
      keeps(key === null ? null : Buffer.from(key), offsetDelta, body === null, timestampMs),
    )
    if (messages.length === 0) return null
    const kept = encode({ ...batch, messages })
    kept.writeDoubleBE(batch.baseOffset, 0)
    return kept
  },
}

/** A form whose batches are JSON. */
export const TEST_FORM: NativeForm = {
  id: TEST_FORM_ID,
  name: 'test',
  headers: () => null,
  property: () => null,
  extraKeys: () => null,
  expiration: () => null,
  canonical: () => ({ ...NO_PROPERTIES, persistent: true }),
  batch: BATCH,
}

/** What a producer says of a batch. */
export type ProducerSays = Partial<
  Pick<BatchDraft, 'producerId' | 'producerEpoch' | 'baseSequence' | 'isTransactional'>
>

export function testBatch(messages: readonly TestMessage[], says: ProducerSays = {}): BatchDraft {
  const numbered = messages.map((message, offsetDelta) => ({ ...message, offsetDelta }))
  const bytes = encode({ baseOffset: 0, messages: numbered })
  const draft = new BatchDraft()
  draft.form = TEST_FORM_ID
  draft.setBytes(bytes, 0, bytes.length)
  draft.count = messages.length
  draft.maxTimestampMs = Math.max(...messages.map(({ timestampMs = -1 }) => timestampMs))
  return Object.assign(draft, says)
}

/** A batch of messages that have nothing but a body. */
export function bodies(...texts: string[]): TestMessage[] {
  return texts.map((body) => ({ body }))
}
