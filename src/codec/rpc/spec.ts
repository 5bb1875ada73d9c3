/**
 * What a client sends first. Its first octet begins no text, no TLS record and no HTTP, so that one
 * port can tell them apart; the last is the version.
 */
export const PREAMBLE: Buffer = Buffer.from([0xf7, 0x57, 0x41, 0x59, 0x52, 0x50, 0x43, 0x01])

/** Types of frames; docs/rpc-frames.md has the whole format. */
export const FRAME: {
  readonly HELLO: 0x01
  readonly AUTH: 0x02
  readonly WELCOME: 0x03
  readonly OPEN: 0x10
  readonly DATA: 0x11
  readonly HALF_CLOSE: 0x12
  readonly CANCEL: 0x13
  readonly HEAD: 0x14
  readonly STATUS: 0x15
  readonly CREDIT: 0x16
  readonly ATTACH: 0x20
  readonly ATTACHED: 0x21
  readonly DETACH: 0x22
  readonly CAPACITY: 0x23
  readonly PING: 0x30
  readonly PONG: 0x31
  readonly GOAWAY: 0x32
} = {
  HELLO: 0x01,
  AUTH: 0x02,
  WELCOME: 0x03,
  OPEN: 0x10,
  DATA: 0x11,
  HALF_CLOSE: 0x12,
  CANCEL: 0x13,
  HEAD: 0x14,
  STATUS: 0x15,
  CREDIT: 0x16,
  ATTACH: 0x20,
  ATTACHED: 0x21,
  DETACH: 0x22,
  CAPACITY: 0x23,
  PING: 0x30,
  PONG: 0x31,
  GOAWAY: 0x32,
}

/** Of OPEN: nobody waits for the answer. Of DATA: the caller sends no more after it. */
export const FLAG: { readonly ONE_WAY: 1; readonly LAST: 1 } = { ONE_WAY: 1, LAST: 1 }

/** Length (u32, of what follows it), id (u32), type (u8), flags (u8). */
export const HEADER_BYTES = 10
/** What the length counts of the header. */
export const COUNTED_HEADER_BYTES = 6

/** Content types that have a number; 0 stands for a text that follows. */
export const CONTENT_TYPES: readonly string[] = ['', 'json', 'proto']
