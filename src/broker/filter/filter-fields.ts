import { exchangeOf, routingKeyOf } from '../../model/address.ts'
import type { CanonicalProperties } from '../../model/canonical-properties.ts'
import { NO_PROPERTIES } from '../../model/canonical-properties.ts'
import { type HeaderMap, type HeaderValue, NO_HEADERS } from '../../model/header-value.ts'
import type { MessageDraft } from '../../model/message-draft.ts'
import type { NativeForm } from '../../model/native-form.ts'

/** A message as filters see it, whether it is being published or was stored. */
export interface FilteredMessage {
  /** How to read its header; undefined: nobody here can. */
  readonly form: NativeForm | undefined
  readonly address: Buffer
  readonly addressStart: number
  readonly addressEnd: number
  readonly header: Buffer
  readonly headerStart: number
  readonly headerEnd: number
  readonly priority: number
  readonly persistent: boolean
}

/** null: absent, or of a kind that filters know nothing of. */
export type FieldValue = string | number | bigint | boolean | null

/**
 * Reads fields of one message after the other for filters. Headers and properties are decoded when
 * the first filter asks for them, once for all filters that look at that message.
 */
export class FilterFields {
  #message: FilteredMessage | null = null
  #headers: HeaderMap | null = null
  #properties: CanonicalProperties | null = null

  /** Looks at this message from now on; its bytes are borrowed until `close`. */
  open(message: FilteredMessage): this {
    this.#message = message
    this.#headers = null
    this.#properties = null
    return this
  }

  get isOpen(): boolean {
    return this.#message !== null
  }

  close(): void {
    this.#message = null
    this.#headers = null
    this.#properties = null
  }

  get headers(): HeaderMap {
    if (this.#headers === null) {
      const { form, header, headerStart, headerEnd } = this.#message!
      this.#headers = form?.headers(header, headerStart, headerEnd) ?? NO_HEADERS
    }
    return this.#headers
  }

  header(name: string): FieldValue {
    return fieldValue(this.headers.get(name))
  }

  get properties(): CanonicalProperties {
    if (this.#properties === null) {
      const { form, header, headerStart, headerEnd } = this.#message!
      this.#properties = form?.canonical(header, headerStart, headerEnd) ?? NO_PROPERTIES
    }
    return this.#properties
  }

  get priority(): number {
    return this.#message!.priority
  }

  get persistent(): boolean {
    return this.#message!.persistent
  }

  get exchange(): string {
    const { address, addressStart } = this.#message!
    return exchangeOf(address, addressStart)
  }

  get routingKey(): string {
    const { address, addressStart, addressEnd } = this.#message!
    return routingKeyOf(address, addressStart, addressEnd)
  }
}

/** A message that is all in one buffer, as stored ones are. */
export interface StoredFields {
  readonly data: Buffer
  readonly addressStart: number
  readonly addressEnd: number
  readonly headerStart: number
  readonly headerEnd: number
  readonly priority: number
  readonly persistent: boolean
}

/** A message that is being published. */
export function filteredDraft(draft: MessageDraft, form: NativeForm | undefined): FilteredMessage {
  const { address, addressStart, addressEnd, header, headerStart, headerEnd } = draft
  const { priority, persistent } = draft
  return {
    ...{ form, address, addressStart, addressEnd },
    ...{ header, headerStart, headerEnd, priority, persistent },
  }
}

export function filteredOf(message: StoredFields, form: NativeForm | undefined): FilteredMessage {
  const { data, addressStart, addressEnd, headerStart, headerEnd, priority, persistent } = message
  return {
    ...{ form, address: data, addressStart, addressEnd },
    ...{ header: data, headerStart, headerEnd, priority, persistent },
  }
}

/** Text of octets, where they are text; null for the empty ones. */
export function textOfBytes(bytes: Buffer | null): string | null {
  return bytes === null || bytes.length === 0 ? null : bytes.toString('utf8')
}

function fieldValue(value: HeaderValue | undefined): FieldValue {
  if (value === undefined) return null
  return typeof value === 'object' ? null : value
}
