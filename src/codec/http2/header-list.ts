import { HEADER_LIST_BYTES_MAX } from './limits.ts'

/**
 * A decoded list of header fields, with what the rules of HTTP/2 look at already taken out of it.
 *
 * Requests repeat: a list that came again in the same octets is the same object, so whoever reads
 * one may keep what it found in `note`.
 */
export class HeaderList {
  /** Names and values in turn, pseudo fields first, as they came. */
  readonly fields: string[] = []
  /** As §6.5.2 counts it, also of what is left out of `fields` because there is too much. */
  sizeBytes = 0
  /** Why one of the fields is malformed by itself (§8.2.1); empty if none is. */
  fieldFault = ''
  /** Why it begins no message (§8.1.1), once `isRead`; the same list may come as trailers too. */
  fault = ''
  /** Its pseudo fields were taken out. */
  isRead = false
  method = ''
  path = ''
  scheme = ''
  authority = ''
  /** 0 when there is none. */
  status = 0
  /** -1 when there is none. */
  contentLength = -1
  note: unknown = null

  /** Fields beyond `HEADER_LIST_BYTES_MAX` are missing. */
  get isTooLarge(): boolean {
    return this.sizeBytes > HEADER_LIST_BYTES_MAX
  }

  /** The first value of a field, or null. */
  get(name: string): string | null {
    const { fields } = this
    for (let index = 0; index < fields.length; index += 2) {
      if (fields[index] === name) return fields[index + 1]!
    }
    return null
  }
}
