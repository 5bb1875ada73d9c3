import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FLUSH_BYTES, SLAB_BYTES_MIN } from './limits.ts'
import { OutputBuffer } from './output-buffer.ts'
import { SlabPool } from './slab-pool.ts'
import type { PeerInfo, Transport } from './transport.ts'

class FakeTransport implements Transport {
  readonly id = 1
  readonly peer: PeerInfo = {
    remoteAddress: '127.0.0.1',
    remotePort: 1,
    localAddress: '127.0.0.1',
    localPort: 2,
    listener: 'test',
    tls: null,
  }
  pendingBytes = 0
  taking = true
  readonly writes: Uint8Array[] = []

  write(bytes: Uint8Array): boolean {
    this.writes.push(this.taking ? Uint8Array.from(bytes) : bytes)
    if (!this.taking) this.pendingBytes += bytes.length
    return this.taking
  }

  pause(): void {}
  resume(): void {}
  end(): void {}
  destroy(): void {}

  get text(): string {
    return Buffer.concat(this.writes).toString('latin1')
  }
}

test('what was gathered is written once, in order', () => {
  const transport = new FakeTransport()
  const output = new OutputBuffer(transport, new SlabPool())
  output.append(Buffer.from('one '))
  output.append(Buffer.from('two'))
  assert.equal(transport.writes.length, 0)
  assert.equal(output.pendingBytes, 7)
  output.flush()
  output.flush()
  assert.equal(transport.writes.length, 1)
  assert.equal(transport.text, 'one two')
  assert.equal(output.writtenBytes, 7)
})

test('a buffer the socket still owns is not written into again', () => {
  const transport = new FakeTransport()
  const output = new OutputBuffer(transport, new SlabPool())
  transport.taking = false
  output.append(Buffer.from('first'))
  output.flush()
  output.append(Buffer.from('other'))
  output.flush()
  assert.equal(transport.text, 'firstother')
  assert.equal(output.pendingBytes, 10)
})

test('a taken buffer goes back to the pool for the next connection', () => {
  const pool = new SlabPool()
  const transport = new FakeTransport()
  const output = new OutputBuffer(transport, pool)
  output.append(Buffer.from('x'))
  const slab = output.buffer
  output.flush()
  assert.equal(output.buffer.length, 0)
  assert.equal(pool.take(10), slab)
})

test('output beyond the flush mark goes out early and keeps its order', () => {
  const transport = new FakeTransport()
  const output = new OutputBuffer(transport, new SlabPool())
  const expected: string[] = []
  for (let i = 0; i < 2000; i++) {
    const piece = `${i},`.padEnd(400, '.')
    expected.push(piece)
    output.append(Buffer.from(piece))
    assert.ok(output.buffer.length <= FLUSH_BYTES)
  }
  assert.ok(transport.writes.length >= 3)
  output.flush()
  assert.equal(transport.text, expected.join(''))
})

test('a piece larger than any slab fits', () => {
  const transport = new FakeTransport()
  const output = new OutputBuffer(transport, new SlabPool())
  output.append(Buffer.from('head'))
  const at = output.reserve(3 * FLUSH_BYTES)
  output.buffer.fill(0x41, at, at + 3 * FLUSH_BYTES)
  output.at = at + 3 * FLUSH_BYTES
  output.flush()
  assert.equal(transport.text.length, 4 + 3 * FLUSH_BYTES)
  assert.ok(transport.text.startsWith('headAAA'))
})

test('discard lets the buffer go', () => {
  const pool = new SlabPool()
  const output = new OutputBuffer(new FakeTransport(), pool)
  output.append(Buffer.alloc(SLAB_BYTES_MIN))
  const slab = output.buffer
  output.discard()
  assert.equal(output.pendingBytes, 0)
  assert.equal(pool.take(1), slab)
})
