import assert from 'node:assert/strict'
import { test } from 'node:test'
import { EngineError } from '../../../src/engine/contract.ts'
import type {
  CommitLevel,
  Engine,
  EngineErrorKind,
  Log,
  LogEntry,
  ReadDone,
} from '../../../src/engine/contract.ts'

/** A store that the suite may open, close and open again with what it held. */
export interface StoreUnderTest {
  open(): Promise<Engine>
  /** Whether what was committed is there after `close` and `open`. */
  readonly persists: boolean
  /** Moves the time that entries get, in milliseconds. */
  advance(ms: number): void
  remove(): Promise<void>
}

export function commit(engine: Engine, level: CommitLevel = 'synced'): Promise<void> {
  return new Promise((resolve, reject) => {
    engine.commit(level, (error) => (error === null ? resolve() : reject(error)))
  })
}

function read(
  log: Log,
  offset: number,
  bytesMax: number = 1 << 20,
  target?: Buffer,
): Promise<readonly LogEntry[]> {
  return new Promise((resolve, reject) => {
    const done: ReadDone = (error, entries) => (error === null ? resolve(entries) : reject(error))
    log.read(offset, bytesMax, done, target)
  })
}

/** 50 entries of 100 bytes, each of two offsets and filled with its number. */
async function appendFifty(engine: Engine, log: Log): Promise<void> {
  for (let index = 0; index < 50; index++) log.append(Buffer.alloc(100, index), 2)
  await commit(engine)
}

/** Every entry that is kept, from `startOffset` on. */
export async function readAll(log: Log, bytesMax: number = 1 << 20): Promise<LogEntry[]> {
  const all: LogEntry[] = []
  let offset = log.startOffset
  for (;;) {
    const entries = await read(log, offset, bytesMax)
    const last = entries.at(-1)
    if (last === undefined) return all
    all.push(...entries)
    offset = last.baseOffset + last.count
  }
}

function isKind(kind: EngineErrorKind): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof EngineError, String(error))
    assert.equal(error.kind, kind, error.message)
    return true
  }
}

const bytes = (text: string): Buffer => Buffer.from(text)
const texts = (entries: readonly LogEntry[]): string[] => entries.map(({ data }) => data.toString())

/** What every engine must do, whatever it stands on. */
export function engineSuite(name: string, make: () => Promise<StoreUnderTest>): void {
  const check = (title: string, body: (store: StoreUnderTest) => Promise<void>): void => {
    test(`${name}: ${title}`, async () => {
      const store = await make()
      try {
        await body(store)
      } finally {
        await store.remove()
      }
    })
  }

  check('offsets are consecutive from 0 over entries of any count', async (store) => {
    await using engine = await store.open()
    const log = await engine.openLog('a', { epoch: 1 })
    assert.equal(log.nextOffset, 0)
    assert.equal(log.append(bytes('one'), 1), 0)
    assert.equal(log.append(bytes('three'), 3), 1)
    assert.equal(log.append(bytes(''), 1), 4)
    assert.equal(log.nextOffset, 5)
    assert.equal(log.committedOffset, 0)
    await commit(engine)
    assert.equal(log.committedOffset, 5)
    const entries = await readAll(log)
    assert.deepEqual(texts(entries), ['one', 'three', ''])
    assert.deepEqual(
      entries.map(({ baseOffset, count }) => [baseOffset, count]),
      [
        [0, 1],
        [1, 3],
        [4, 1],
      ],
    )
  })

  check('commits are answered in call order, never inside the call', async (store) => {
    await using engine = await store.open()
    const log = await engine.openLog('a', { epoch: 1 })
    const volatileLog = await engine.openLog('v', { epoch: 1, volatile: true })
    const answered: number[] = []
    let inside = true
    const waits: Promise<void>[] = []
    for (let index = 0; index < 20; index++) {
      // Among them groups with one log, with none, and with a volatile one alone.
      if (index % 3 === 0) log.append(bytes(`${index}`), 1)
      if (index % 4 === 0) volatileLog.append(bytes(`${index}`), 1)
      waits.push(
        new Promise((resolve) => {
          engine.commit(index % 2 === 0 ? 'synced' : 'written', (error) => {
            assert.equal(error, null)
            assert.equal(inside, false)
            answered.push(index)
            resolve()
          })
        }),
      )
    }
    inside = false
    await Promise.all(waits)
    assert.deepEqual(
      answered,
      Array.from({ length: 20 }, (_, index) => index),
    )
    assert.equal(log.committedOffset, log.nextOffset)
    assert.equal(volatileLog.committedOffset, volatileLog.nextOffset)
    assert.equal(engine.uncommittedBytes, 0)
  })

  check('what is staged is seen at once by peek and read', async (store) => {
    await using engine = await store.open()
    const log = await engine.openLog('a', { epoch: 1 })
    log.append(bytes('staged'), 4)
    for (const offset of [0, 1, 3]) assert.equal(log.peek(offset)?.data.toString(), 'staged')
    assert.equal(log.peek(4), null)
    assert.deepEqual(texts(await read(log, 2)), ['staged'])
    assert.deepEqual(await read(log, 4), [])
    assert.ok(engine.uncommittedBytes >= 6)
    await commit(engine)
    assert.equal(engine.uncommittedBytes, 0)
  })

  check(
    'read starts at the entry that contains the offset, and keeps to its limit',
    async (store) => {
      await using engine = await store.open()
      const log = await engine.openLog('a', { epoch: 1 })
      await appendFifty(engine, log)
      const three = await read(log, 41, 300)
      assert.deepEqual(
        three.map(({ baseOffset }) => baseOffset),
        [40, 42, 44],
      )
      assert.equal((await read(log, 41, 1)).length, 1)
      assert.deepEqual(await read(log, 100), [])
      await assert.rejects(read(log, -1), isKind('not-found'))
      await assert.rejects(read(log, 101), isKind('not-found'))
    },
  )

  check(
    'what is read into a target is the same, and shares no bytes with others',
    async (store) => {
      if (store.persists) {
        await using before = await store.open()
        await appendFifty(before, await before.openLog('a', { epoch: 1 }))
      }
      // Opened again, so that nothing is in memory.
      await using engine = await store.open()
      const log = await engine.openLog('a', { epoch: 2 })
      if (!store.persists) await appendFifty(engine, log)
      const target = Buffer.alloc(256 * 1024)
      const entries = await read(log, 41, 300, target)
      assert.deepEqual(
        entries.map(({ baseOffset, data }) => [baseOffset, data[0]]),
        [
          [40, 20],
          [42, 21],
          [44, 22],
        ],
      )
      // The owner writes there again; whoever reads without a target must not see it.
      target.fill(0xdd)
      const again = await read(log, 41, 300)
      assert.deepEqual(
        again.map(({ data }) => data[0]),
        [20, 21, 22],
      )
      if (store.persists) assert.equal(entries[0]!.data.buffer, target.buffer)
      // Too small for what is asked: the entries lie elsewhere.
      const small = Buffer.alloc(10, 1)
      assert.equal((await read(log, 80, 100, small))[0]?.data[0], 40)
      assert.deepEqual(small, Buffer.alloc(10, 1))
    },
  )

  check('bytes that were freed are needed by nobody', async (store) => {
    await using engine = await store.open()
    const logs = [
      await engine.openLog('a', { epoch: 1 }),
      await engine.openLog('b', { epoch: 1 }),
    ] as const
    const given: LogEntry[] = []
    let freedCount = 0
    for (let index = 0; index < 400; index++) {
      const log = logs[index % 5 === 0 ? 1 : 0]
      const data = Buffer.alloc(500, index % 200)
      // Whoever reads this had bytes that were promised to nobody.
      const free = (): void => {
        freedCount++
        data.fill(0xdd)
      }
      log.append(data, 1, free)
      if (index % 3 === 0) await commit(engine)
      const offset = Math.max(0, log.nextOffset - (index % 50))
      const entry = index % 2 === 0 ? log.peek(offset) : (await read(log, offset))[0]
      if (entry) given.push(entry)
    }
    await commit(engine)
    for (const { data } of given) assert.deepEqual(data, Buffer.alloc(500, data[0]))
    for (const log of logs) {
      for (const { data } of await readAll(log)) assert.notEqual(data[0], 0xdd)
    }
    assert.ok(given.every(({ data }) => data[0] !== 0xdd))
    if (store.persists) assert.ok(freedCount > 50, `only ${freedCount} were freed`)
  })

  check('the largest entry is stored, a larger one refused with nothing stored', async (store) => {
    await using engine = await store.open()
    const log = await engine.openLog('a', { epoch: 1 })
    const { entryBytesMax } = engine.capabilities
    assert.throws(() => log.append(Buffer.alloc(entryBytesMax + 1), 1), isKind('too-large'))
    assert.equal(log.nextOffset, 0)
    log.append(Buffer.alloc(entryBytesMax, 7), 1)
    await commit(engine)
    const [entry] = await read(log, 0)
    assert.equal(entry?.data.length, entryBytesMax)
  })

  check('a newer epoch fences the writer before it, also with appends in flight', async (store) => {
    await using engine = await store.open()
    const first = await engine.openLog('a', { epoch: 1 })
    first.append(bytes('committed'), 1)
    await commit(engine)
    first.append(bytes('in flight'), 1)
    const flying = commit(engine)
    first.append(bytes('staged'), 1)
    const second = await engine.openLog('a', { epoch: 2 })
    const { nextOffset } = second
    assert.throws(() => first.append(bytes('late'), 1), isKind('fenced'))
    await flying
    assert.equal(second.append(bytes('new'), 1), nextOffset)
    await commit(engine)
    const all = texts(await readAll(second))
    assert.ok(['committed,in flight,new', 'committed,in flight,staged,new'].includes(all.join()))
    await assert.rejects(engine.openLog('a', { epoch: 1 }), isKind('fenced'))
  })

  check('two writers that open at once make one chain of offsets', async (store) => {
    await using engine = await store.open()
    const [left, right] = await Promise.all([
      engine.openLog('a', { epoch: 1 }),
      engine.openLog('a', { epoch: 2 }),
    ])
    assert.throws(() => left.append(bytes('x'), 1), isKind('fenced'))
    assert.equal(right.append(bytes('y'), 1), 0)
    await commit(engine)
    assert.deepEqual(texts(await readAll(right)), ['y'])
  })

  check('a listener hears of each commit of its log', async (store) => {
    await using engine = await store.open()
    const log = await engine.openLog('a', { epoch: 1 })
    const other = await engine.openLog('b', { epoch: 1 })
    const heard: number[] = []
    log.onCommitted((offset) => heard.push(offset))
    log.append(bytes('1'), 1)
    await commit(engine)
    other.append(bytes('2'), 1)
    await commit(engine)
    log.append(bytes('3'), 2)
    other.append(bytes('4'), 1)
    await commit(engine)
    await read(log, 0)
    assert.deepEqual(heard, [1, 3])
  })

  check('times never go back, and the first offset at a time is found', async (store) => {
    await using engine = await store.open()
    const log = await engine.openLog('a', { epoch: 1 })
    const times: number[] = []
    for (let index = 0; index < 10; index++) {
      const offset = log.append(bytes(`${index}`), 2)
      times.push(log.peek(offset)!.timestampMs)
      store.advance(10)
      if (index % 3 === 0) await commit(engine)
    }
    await commit(engine)
    for (let index = 1; index < 10; index++) assert.ok(times[index]! >= times[index - 1]!)
    assert.equal(await log.offsetForTime(0), 0)
    assert.equal(await log.offsetForTime(times[4]!), times.indexOf(times[4]!) * 2)
    assert.equal(await log.offsetForTime(times[9]! + 1), log.nextOffset)
  })

  check('discarding is idempotent, and offsets are never used again', async (store) => {
    let engine = await store.open()
    let log = await engine.openLog('a', { epoch: 1 })
    for (let index = 0; index < 10; index++) log.append(bytes(`${index}`), 1)
    await commit(engine)
    log.discard(0, 10)
    log.discard(0, 10)
    log.discard(3, 5)
    if (store.persists) {
      await engine.close()
      engine = await store.open()
      log = await engine.openLog('a', { epoch: 2 })
    }
    assert.equal(log.nextOffset, 10)
    assert.ok(log.startOffset <= 10)
    assert.equal(log.append(bytes('next'), 1), 10)
    await commit(engine)
    assert.deepEqual(texts(await read(log, 10)), ['next'])
    await engine.close()
  })

  check('a deleted log is gone, and begins anew', async (store) => {
    await using engine = await store.open()
    const log = await engine.openLog('a', { epoch: 1 })
    await engine.openLog('b', { epoch: 1 })
    log.append(bytes('old'), 5)
    await commit(engine)
    assert.deepEqual(await engine.listLogs(), ['a', 'b'])
    await engine.deleteLog('a')
    await engine.deleteLog('a')
    assert.deepEqual(await engine.listLogs(), ['b'])
    assert.throws(() => log.append(bytes('late'), 1), isKind('closed'))
    const again = await engine.openLog('a', { epoch: 1 })
    assert.equal(again.nextOffset, 0)
    assert.deepEqual(await readAll(again), [])
  })

  check('a volatile log works like any other and is empty after a restart', async (store) => {
    let engine = await store.open()
    let log = await engine.openLog('v', { epoch: 1, volatile: true })
    for (let index = 0; index < 10; index++) log.append(bytes(`${index}`), 2)
    await commit(engine, 'written')
    assert.equal(log.committedOffset, 20)
    assert.equal(log.peek(7)?.data.toString(), '3')
    log.discard(0, 4)
    log.discard(6, 10)
    assert.deepEqual(texts(await read(log, 4)), ['2', '5', '6', '7', '8', '9'])
    await engine.close()
    engine = await store.open()
    log = await engine.openLog('v', { epoch: 1, volatile: true })
    assert.deepEqual(await readAll(log), [])
    await engine.close()
  })

  check('a commit over several logs and one log at a time come back in order', async (store) => {
    let engine = await store.open()
    const names = ['a', 'b', 'c']
    const wanted = new Map<string, string[]>(names.map((each) => [each, []]))
    const logs = await Promise.all(names.map((each) => engine.openLog(each, { epoch: 1 })))
    for (let round = 0; round < 30; round++) {
      for (const log of logs.slice(0, 1 + (round % 3))) {
        log.append(bytes(`${log.name}${round}`), 1)
        wanted.get(log.name)!.push(`${log.name}${round}`)
      }
      await commit(engine, round % 5 === 0 ? 'written' : 'synced')
    }
    for (const log of logs) assert.deepEqual(texts(await readAll(log)), wanted.get(log.name))
    await engine.close()
    if (!store.persists) return
    engine = await store.open()
    for (const each of names) {
      const log = await engine.openLog(each, { epoch: 2 })
      assert.deepEqual(texts(await readAll(log)), wanted.get(each))
    }
    await engine.close()
  })

  check('lease epochs only grow, over restarts too', async (store) => {
    let engine = await store.open()
    const epochs: number[] = []
    for (let index = 0; index < 3; index++) epochs.push((await engine.leases.acquire('x')).epoch)
    epochs.push((await engine.leases.acquire('y')).epoch)
    await engine.close()
    if (store.persists) {
      engine = await store.open()
      epochs.splice(3, 0, (await engine.leases.acquire('x')).epoch)
      await engine.close()
    }
    const ofX = epochs.slice(0, -1)
    for (let index = 1; index < ofX.length; index++) assert.ok(ofX[index]! > ofX[index - 1]!)
  })

  check('after close everything is refused with closed', async (store) => {
    const engine = await store.open()
    const log = await engine.openLog('a', { epoch: 1 })
    log.append(bytes('staged'), 1)
    await engine.close()
    await engine.close()
    assert.throws(() => log.append(bytes('late'), 1), isKind('closed'))
    await assert.rejects(read(log, 0), isKind('closed'))
    await assert.rejects(commit(engine), isKind('closed'))
    await assert.rejects(engine.openLog('b', { epoch: 1 }), isKind('closed'))
  })
}
