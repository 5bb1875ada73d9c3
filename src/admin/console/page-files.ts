import type { Hono } from 'hono'
import type { AdminContext } from '../authentication.ts'

/** One file of the built page. */
export interface PageFile {
  readonly type: string
  readonly bytes: Uint8Array<ArrayBuffer>
  /** The same, packed with gzip. */
  readonly packed: Uint8Array<ArrayBuffer>
  /** Changes with the contents. */
  readonly tag: string
}

/** The built page, by path without the leading `/`. */
export interface PageFiles {
  /** Null: there is no such file. */
  get(path: string): PageFile | null
}

/** Nothing runs, loads or frames the page but what it brought itself. */
const CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "manifest-src 'self'",
  "form-action 'self'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
].join('; ')

const SECURITY_HEADERS: Readonly<Record<string, string>> = {
  'content-security-policy': CONTENT_SECURITY_POLICY,
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'permissions-policy': 'camera=(), geolocation=(), microphone=(), payment=(), usb=()',
}

const START = 'index.html'
const NOT_BUILT =
  'The console is not built here. Run `npm run build:console` and load this page again; ' +
  'the HTTP API below /v1 works without it.\n'

/** The page itself, which holds no secret and so is given to anybody. */
export function addPageFiles(app: Hono<AdminContext>, files: PageFiles): void {
  app.use(async (context, next) => {
    await next()
    for (const [name, value] of Object.entries(SECURITY_HEADERS)) context.header(name, value)
  })
  app.get('/', (context) => {
    const file = files.get(START)
    return file === null ? context.text(NOT_BUILT, 503) : give(context.req.raw, file, 'no-cache')
  })
  // Their names change with their contents.
  app.get('/assets/:name', (context, next) => {
    const file = files.get(`assets/${context.req.param('name')}`)
    return file === null
      ? next()
      : Promise.resolve(give(context.req.raw, file, 'public, max-age=31536000, immutable'))
  })
  app.get('/favicon.svg', async (context, next) => {
    const file = files.get('favicon.svg')
    return file === null ? next() : give(context.req.raw, file, 'public, max-age=86400')
  })
}

function give(request: Request, file: PageFile, caching: string): Response {
  const isPacked = /\bgzip\b/.test(request.headers.get('accept-encoding') ?? '')
  const headers = {
    'content-type': file.type,
    'cache-control': caching,
    etag: file.tag,
    vary: 'accept-encoding',
    ...(isPacked ? { 'content-encoding': 'gzip' } : {}),
  }
  if (request.headers.get('if-none-match') === file.tag) {
    return new Response(null, { status: 304, headers })
  }
  return new Response(isPacked ? file.packed : file.bytes, { headers })
}
