import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { homedir, tmpdir } from 'node:os'
import path from 'node:path'
import { after, test } from 'node:test'
import {
  defaultDataDirectory,
  prepareDataDirectory,
  readAdminEndpoint,
  removeAdminEndpoint,
  writeAdminEndpoint,
} from './data-directory.ts'
import { StartupError } from './startup-error.ts'

const scratch = mkdtempSync(path.join(tmpdir(), 'waystation-data-'))
after(() => rmSync(scratch, { recursive: true, force: true }))

function refusal(directory: string): string {
  try {
    prepareDataDirectory(directory)
  } catch (error) {
    assert.ok(error instanceof StartupError)
    assert.equal(error.code, 'data')
    return error.message
  }
  return assert.fail(`${directory} was accepted`)
}

test(
  'data lives where the platform keeps it, not where the broker was started',
  { skip: process.platform === 'win32' },
  () => {
    const inHome = path.join(homedir(), '.local/share/waystation')
    assert.equal(defaultDataDirectory({}), inHome)
    assert.equal(defaultDataDirectory({ XDG_DATA_HOME: '/srv/data' }), '/srv/data/waystation')
    assert.equal(defaultDataDirectory({ XDG_DATA_HOME: 'relative' }), inHome)
  },
)

test('a directory is made for us alone and left empty', () => {
  const directory = path.join(scratch, 'a/b')
  prepareDataDirectory(directory)
  assert.equal(statSync(directory).mode & 0o777, 0o700)
  assert.deepEqual(readdirSync(directory), [])
  prepareDataDirectory(directory)
})

test('a file in the way, or above, is named', () => {
  const file = path.join(scratch, 'file')
  writeFileSync(file, '')
  for (const directory of [file, path.join(file, 'below')]) {
    assert.equal(
      refusal(directory),
      `the data directory ${directory} is a file, or below one\nchoose another one with --data DIR`,
    )
  }
})

test(
  'a directory that takes no file is refused, also for root',
  { skip: process.platform !== 'linux' },
  () => {
    assert.match(refusal('/proc/self'), /^the data directory \/proc\/self /)
  },
)

test('the token is for our eyes only and survives neither its broker nor damage', () => {
  const endpoint = { url: 'http://127.0.0.1:1', token: 'secret', pid: process.pid }
  assert.equal(readAdminEndpoint(scratch), null)
  const file = path.join(scratch, 'admin.json')
  writeFileSync(file, 'old', { mode: 0o644 })
  writeAdminEndpoint(scratch, endpoint)
  assert.equal(statSync(file).mode & 0o777, 0o600)
  assert.deepEqual(readAdminEndpoint(scratch), endpoint)
  // Process ids go up to 4194304 on Linux, so nobody has this one.
  writeAdminEndpoint(scratch, { ...endpoint, pid: 9_999_999 })
  assert.equal(readAdminEndpoint(scratch), null)
  for (const text of ['', 'null', '{}', '{"url":1}', readFileSync(file, 'utf8').slice(0, -5)]) {
    writeFileSync(file, text)
    assert.equal(readAdminEndpoint(scratch), null, text)
  }
  removeAdminEndpoint(scratch)
  removeAdminEndpoint(scratch)
  assert.equal(readAdminEndpoint(path.join(scratch, 'nowhere')), null)
})
