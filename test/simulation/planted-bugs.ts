import { Queue } from '../../src/broker/index.ts'
import { DeadLetters } from '../../src/broker/dead-letters.ts'
import { KeyOrder } from '../../src/broker/key-order.ts'
import { SettleRuns } from '../../src/broker/settle-runs.ts'
import { Shard } from '../../src/broker/shard.ts'
import { FaultyDisk } from '../../src/storage/disk-faulty.ts'

/** Bugs of the worst kind, each planted into this process for good by calling it. */
export const PLANTED_BUGS: Readonly<Record<string, () => void>> = {
  'an fsync that is skipped now and then': () => {
    let count = 0
    spoil(FaultyDisk.prototype, 'open', (open) => {
      return async function (this: FaultyDisk, ...given) {
        const file = await open.apply(this, given)
        const sync = file.sync.bind(file)
        file.sync = (done) => {
          if (++count % 10 === 0) setImmediate(() => done(null))
          else sync(done)
        }
        return file
      }
    })
  },

  'a settlement that no record tells of': () => {
    let count = 0
    spoil(SettleRuns.prototype, 'add', (add) => {
      return function (this: SettleRuns, ...given) {
        if (++count % 50 !== 0) add.apply(this, given)
      }
    })
  },

  'ids that no record tells of': () => {
    spoil(Shard.prototype, 'keepSeen', () => () => undefined)
  },

  'a settlement that is forgotten': () => {
    let count = 0
    spoil(Shard.prototype, 'settle', (settle) => {
      return function (this: Shard, ...given) {
        if (++count % 50 !== 0) settle.apply(this, given)
      }
    })
  },

  'a settlement that counts twice': () => {
    let count = 0
    spoil(Shard.prototype, 'settle', (settle) => {
      return function (this: Shard, ...given) {
        settle.apply(this, given)
        if (++count % 50 === 0) settle.apply(this, given)
      }
    })
  },

  'a settlement that takes the next delivery along': () => {
    let count = 0
    spoil(Queue.prototype, 'accept', (accept) => {
      return function (this: Queue, offset) {
        accept.call(this, offset)
        if (++count % 20 === 0) accept.call(this, offset + 1)
      }
    })
  },

  'a delivery that is forgotten when its consumer goes': () => {
    let count = 0
    spoil(Queue.prototype, 'release', (release) => {
      return function (this: Queue, offset) {
        if (++count % 20 !== 0) release.call(this, offset)
      }
    })
  },

  'a message that comes back behind others': () =>
    spoil(Queue.prototype, 'release', (release) => {
      return function (this: Queue, offset) {
        setImmediate(() => release.call(this, offset))
      }
    }),

  'a dead letter that is lost': () => {
    let count = 0
    spoil(DeadLetters.prototype, 'publish', (publish) => {
      return function (this: DeadLetters, ...given) {
        return ++count % 10 === 0 ? true : publish.apply(this, given)
      }
    })
  },

  'a key that is taken for a free one now and then': () => {
    let count = 0
    spoil(KeyOrder.prototype, 'slotOf', (slotOf) => {
      return function (this: KeyOrder, key) {
        return ++count % 10 === 0 ? null : slotOf.call(this, key)
      }
    })
  },
}

function spoil<Owner extends object, Name extends keyof Owner>(
  owner: Owner,
  name: Name,
  plant: (method: Owner[Name]) => Owner[Name],
): void {
  owner[name] = plant(owner[name])
}
