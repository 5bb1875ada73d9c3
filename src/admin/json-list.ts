import { later } from '../lib/later.ts'
import { LIST_STEP_COUNT, LIST_TEXT_LENGTH } from './limits.ts'

/**
 * Looks at all of a long list, some at a time; others go on between. Fit for what may change
 * meanwhile, such as a look through a map.
 */
export async function eachInSteps<T>(items: Iterable<T>, visit: (item: T) => void): Promise<void> {
  let left = LIST_STEP_COUNT
  for (const item of items) {
    visit(item)
    if (--left > 0) continue
    left = LIST_STEP_COUNT
    await new Promise<void>((resolve) => later(resolve))
  }
}

/**
 * A long list as JSON, made piece by piece as fast as it is read: it is never in memory as a whole.
 * `before` and `after` stand around it.
 */
export function listResponse(
  items: Iterable<unknown>,
  { before = '', after = '' }: { readonly before?: string; readonly after?: string } = {},
): Response {
  const encoder = new TextEncoder()
  const pieces = piecesOf(items, { before, after })
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      await new Promise<void>((resolve) => later(resolve))
      const next = pieces.next()
      if (next.done === true) controller.close()
      else controller.enqueue(encoder.encode(next.value))
    },
  })
  return new Response(body, { headers: { 'content-type': 'application/json' } })
}

function* piecesOf(
  items: Iterable<unknown>,
  { before, after }: { readonly before: string; readonly after: string },
): Generator<string, undefined> {
  let text = `${before}[`
  let comma = ''
  for (const item of items) {
    text += comma + JSON.stringify(item)
    comma = ','
    if (text.length < LIST_TEXT_LENGTH) continue
    yield text
    text = ''
  }
  yield `${text}]${after}`
}
