import { createPublicKey, type KeyObject } from 'node:crypto'
import { readFile, stat } from 'node:fs/promises'
import {
  createLocalJWKSet,
  createRemoteJWKSet,
  type JSONWebKeySet,
  type JWTVerifyGetKey,
} from 'jose'

/** Keys of a URL are fetched again after so long, so that one that was withdrawn is soon refused. */
const CACHE_MS = 600_000

/** A token with an unknown key makes them be fetched, but no more often than this. */
const COOLDOWN_MS = 30_000

/** A login waits no longer for an identity provider. */
const FETCH_TIMEOUT_MS = 5000

/** A file is looked at no more often than this. */
const FILE_CHECK_MS = 1000

export function keysOfUrl(url: URL): JWTVerifyGetKey {
  return createRemoteJWKSet(url, {
    cacheMaxAge: CACHE_MS,
    cooldownDuration: COOLDOWN_MS,
    timeoutDuration: FETCH_TIMEOUT_MS,
  })
}

/** A JSON Web Key Set, or one public key or certificate in PEM; read again when it changes. */
export async function keysOfFile(file: string): Promise<JWTVerifyGetKey> {
  let version = await versionOf(file)
  let keys = await read(file)
  let checkedMs = performance.now()
  return async (header, token) => {
    const nowMs = performance.now()
    if (nowMs - checkedMs >= FILE_CHECK_MS) {
      checkedMs = nowMs
      const current = await versionOf(file)
      if (current !== version) {
        keys = await read(file)
        version = current
      }
    }
    return keys(header, token)
  }
}

async function versionOf(file: string): Promise<string> {
  const { mtimeMs, size, ino } = await stat(file)
  return `${mtimeMs} ${size} ${ino}`
}

async function read(file: string): Promise<JWTVerifyGetKey> {
  const text = await readFile(file, 'utf8')
  if (!text.trimStart().startsWith('-----BEGIN')) {
    return createLocalJWKSet(JSON.parse(text) as JSONWebKeySet)
  }
  const key: KeyObject = createPublicKey(text)
  return async () => Promise.resolve(key)
}
