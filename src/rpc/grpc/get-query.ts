/** What the query of a GET says of a call. */
export interface GetQuery {
  readonly encoding: string
  readonly message: Buffer
  readonly compression: string
  /** As the field of a POST; null: nothing was said. */
  readonly version: string | null
}

/** Null: it is no call. */
export function getQueryOf(target: string): GetQuery | null {
  const at = target.indexOf('?')
  if (at < 0) return null
  const query = new URLSearchParams(target.slice(at + 1))
  const encoding = query.get('encoding')
  const message = query.get('message')
  if (encoding === null || message === null) return null
  const version = query.get('connect')
  return {
    encoding,
    message: Buffer.from(message, query.get('base64') === '1' ? 'base64url' : 'utf8'),
    compression: query.get('compression') ?? 'identity',
    version: version === null ? null : version.replace(/^v/, ''),
  }
}
