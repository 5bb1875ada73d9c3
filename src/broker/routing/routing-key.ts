/** A binding's key: text is split at '.', a list is taken as it is. */
export type BindingKey = string | readonly string[]

const SEPARATOR = '.'
const NO_SEGMENTS: readonly string[] = []

/** Splits a key at '.'; the empty key has no segments, as in RabbitMQ, while '.' has two. */
export function splitKey(text: string): readonly string[] {
  return text === '' ? NO_SEGMENTS : text.split(SEPARATOR)
}

/**
 * Shows segments as one text joined by '.'. A '.' inside a segment becomes %2E, and a '%' that
 * would read like that becomes %25, so that different lists never look the same.
 */
export function keyText(segments: readonly string[]): string {
  return segments.map(shownSegment).join(SEPARATOR)
}

function shownSegment(segment: string): string {
  return segment.replaceAll(/\.|%(?=2E|25)/g, (found) => (found === SEPARATOR ? '%2E' : '%25'))
}

export function bindingKeyText(key: BindingKey): string {
  return typeof key === 'string' ? key : keyText(key)
}

export function bindingKeySegments(key: BindingKey): readonly string[] {
  return typeof key === 'string' ? splitKey(key) : key
}

/**
 * A message's routing key as text and as segments, each made when first asked for. One object is
 * set again for each message, so that routing by text alone makes no list.
 */
export class RoutingKey {
  #text: string | null = ''
  #segments: readonly string[] | null = NO_SEGMENTS

  setText(text: string): this {
    this.#text = text
    this.#segments = null
    return this
  }

  /** Keeps the list: it must not change while this key is in use. */
  setSegments(segments: readonly string[]): this {
    this.#text = null
    this.#segments = segments
    return this
  }

  get text(): string {
    return (this.#text ??= keyText(this.segments))
  }

  get segments(): readonly string[] {
    return (this.#segments ??= splitKey(this.#text ?? ''))
  }
}
