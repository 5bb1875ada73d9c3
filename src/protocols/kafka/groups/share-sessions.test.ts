import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { FINAL_EPOCH, ShareSession, ShareSessions } from './share-sessions.ts'

function opened(sessions: ShareSessions, memberId: string, owner: object = {}): ShareSession {
  const session = sessions.open('g', memberId, owner)
  assert.ok(session instanceof ShareSession)
  return session
}

suite('share sessions', () => {
  test('epochs count the requests of a session', () => {
    const sessions = new ShareSessions(10)
    const session = opened(sessions, 'm')
    assert.equal(sessions.advance('g', 'm', 1), session)
    assert.equal(sessions.advance('g', 'm', 1), 'INVALID_SHARE_SESSION_EPOCH')
    assert.equal(sessions.advance('g', 'm', 2), session)
    assert.equal(sessions.advance('g', 'other', 1), 'SHARE_SESSION_NOT_FOUND')
    assert.equal(sessions.advance('g', 'm', FINAL_EPOCH), session)
    session.nextEpoch = 0x7fff_ffff
    sessions.advance('g', 'm', 0x7fff_ffff)
    assert.equal(session.nextEpoch, 1)
  })

  test('a member has one session, and all together are bounded', () => {
    const sessions = new ShareSessions(1)
    opened(sessions, 'm')
    const again = opened(sessions, 'm')
    assert.equal(sessions.advance('g', 'm', 1), again)
    assert.equal(sessions.open('g', 'n', {}), 'SHARE_SESSION_LIMIT_REACHED')
    sessions.close(again)
    opened(sessions, 'n')
  })

  test('with a client go its sessions', () => {
    const sessions = new ShareSessions(10)
    const client = {}
    opened(sessions, 'a', client)
    opened(sessions, 'b')
    assert.deepEqual(
      sessions.closeOwned(client).map(({ memberId }) => memberId),
      ['a'],
    )
    assert.equal(sessions.size, 1)
  })

  test('partitions take turns', () => {
    const session = opened(new ShareSessions(10), 'm')
    const place = (partition: number) => ({ topicId: 't', partition })
    for (const partition of [0, 1, 2, 1]) session.add(place(partition))
    session.rotate(place(0))
    session.forget(place(2))
    assert.deepEqual(
      Array.from(session.places(), ({ partition }) => partition),
      [1, 0],
    )
    assert.equal(session.placeCount, 2)
  })
})
