/** One event of a stream of server-sent events whose data is JSON. */
export interface ServerEvent {
  readonly event: string
  readonly data: unknown
}

/** Reads `text/event-stream` as our API writes it: one `event` and one `data` line for each. */
export async function* readEvents(chunks: AsyncIterable<string>): AsyncGenerator<ServerEvent> {
  let rest = ''
  for await (const chunk of chunks) {
    const blocks = (rest + chunk).split('\n\n')
    rest = blocks.pop() ?? ''
    for (const block of blocks) {
      const fields = new Map<string, string>()
      for (const line of block.split('\n')) {
        const colon = line.indexOf(': ')
        if (colon > 0) fields.set(line.slice(0, colon), line.slice(colon + 2))
      }
      const data = fields.get('data')
      if (data !== undefined) yield { event: fields.get('event') ?? '', data: JSON.parse(data) }
    }
  }
}
