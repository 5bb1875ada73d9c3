import assert from 'node:assert/strict'
import { test } from 'node:test'
import { EngineError } from '../../../src/engine/contract.ts'
import type { StoreUnderTest } from './engine-suite.ts'
import { commit, readAll } from './engine-suite.ts'

const isConflict = (error: unknown): boolean => {
  return error instanceof EngineError && error.kind === 'conflict'
}
const bytes = (text: string): Buffer => Buffer.from(text)

/** What the metadata of every engine must do. */
export function kvSuite(name: string, make: () => Promise<StoreUnderTest>): void {
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

  check('compare-and-set counts every increment once', async (store) => {
    await using engine = await store.open()
    const revisions: number[] = []
    const increment = async (): Promise<void> => {
      for (;;) {
        const found = await engine.kv.get('counter')
        const value = Buffer.from(String(Number(found?.value.toString() ?? 0) + 1))
        const op = { key: 'counter', value, expect: found?.revision ?? 0 }
        try {
          revisions.push(await engine.kv.commit([op]))
          return
        } catch (error) {
          if (!isConflict(error)) throw error
        }
      }
    }
    const writer = async (): Promise<void> => {
      for (let index = 0; index < 50; index++) await increment()
    }
    await Promise.all(Array.from({ length: 8 }, writer))
    assert.equal((await engine.kv.get('counter'))?.value.toString(), '400')
    assert.equal(new Set(revisions).size, 400)
  })

  check('a commit of several keys is all or nothing', async (store) => {
    await using engine = await store.open()
    await engine.kv.commit([{ key: 'a', value: bytes('1') }])
    const ops = [
      { key: 'b', value: bytes('2') },
      { key: 'a', value: bytes('3'), expect: 0 },
    ]
    await assert.rejects(engine.kv.commit(ops), isConflict)
    assert.equal(await engine.kv.get('b'), null)
    assert.equal((await engine.kv.get('a'))?.value.toString(), '1')
  })

  check('expect 0 creates once under a race, and again after a delete', async (store) => {
    await using engine = await store.open()
    const create = (value: string): Promise<number> => {
      return engine.kv.commit([{ key: 'k', value: bytes(value), expect: 0 }])
    }
    const outcomes = await Promise.allSettled(['x', 'y', 'z'].map(create))
    assert.equal(outcomes.filter(({ status }) => status === 'fulfilled').length, 1)
    await engine.kv.commit([{ key: 'k', value: null }])
    assert.equal(await engine.kv.get('k'), null)
    await create('again')
    assert.equal((await engine.kv.get('k'))?.value.toString(), 'again')
  })

  check('list gives the keys of a prefix in order, with their revisions', async (store) => {
    await using engine = await store.open()
    const first = await engine.kv.commit([
      { key: 'q/b', value: bytes('2') },
      { key: 'q/a', value: bytes('1') },
      { key: 'r/a', value: bytes('3') },
    ])
    const second = await engine.kv.commit([{ key: 'q/c', value: bytes('') }])
    assert.ok(second > first)
    const found = await engine.kv.list('q/')
    assert.deepEqual(
      found.map(({ key, value, revision }) => [key, value.toString(), revision]),
      [
        ['q/a', '1', first],
        ['q/b', '2', first],
        ['q/c', '', second],
      ],
    )
    assert.equal((await engine.kv.list('')).length, 4)
  })

  check('a kv commit takes nothing along that the broker has staged', async (store) => {
    await using engine = await store.open()
    const log = await engine.openLog('a', { epoch: 1 })
    log.append(bytes('staged'), 1)
    await engine.kv.commit([{ key: 'k', value: bytes('1') }])
    assert.equal(log.committedOffset, 0)
    await commit(engine)
    assert.equal(log.committedOffset, 1)
    assert.equal((await readAll(log)).length, 1)
  })

  check('everything is there after a restart, also after many changes', async (store) => {
    if (!store.persists) return
    let engine = await store.open()
    const wanted = new Map<string, string>()
    for (let round = 0; round < 400; round++) {
      const key = `k${round % 17}`
      const value = `${round}`.padEnd(8192, 'x')
      if (round % 5 === 4) {
        wanted.delete(key)
        await engine.kv.commit([{ key, value: null }])
      } else {
        wanted.set(key, value)
        await engine.kv.commit([{ key, value: bytes(value) }])
      }
    }
    const revision = await engine.kv.commit([{ key: 'last', value: bytes('1') }])
    wanted.set('last', '1')
    for (let restart = 0; restart < 2; restart++) {
      await engine.close()
      engine = await store.open()
      const found = await engine.kv.list('')
      assert.deepEqual(
        new Map(found.map(({ key, value }) => [key, value.toString()])),
        new Map([...wanted].toSorted(([a], [b]) => (a < b ? -1 : 1))),
      )
    }
    assert.ok((await engine.kv.commit([{ key: 'last', value: null }])) > revision)
    await engine.close()
  })
}
