/** Numbers of RFC 9113. */

export const FRAME_HEADER_BYTES = 9

/** §6 */
export const FRAME: {
  readonly DATA: 0
  readonly HEADERS: 1
  readonly PRIORITY: 2
  readonly RST_STREAM: 3
  readonly SETTINGS: 4
  readonly PUSH_PROMISE: 5
  readonly PING: 6
  readonly GOAWAY: 7
  readonly WINDOW_UPDATE: 8
  readonly CONTINUATION: 9
} = {
  DATA: 0,
  HEADERS: 1,
  PRIORITY: 2,
  RST_STREAM: 3,
  SETTINGS: 4,
  PUSH_PROMISE: 5,
  PING: 6,
  GOAWAY: 7,
  WINDOW_UPDATE: 8,
  CONTINUATION: 9,
}

export const FLAG: {
  readonly ACK: 0x1
  readonly END_STREAM: 0x1
  readonly END_HEADERS: 0x4
  readonly PADDED: 0x8
  readonly PRIORITY: 0x20
} = { ACK: 0x1, END_STREAM: 0x1, END_HEADERS: 0x4, PADDED: 0x8, PRIORITY: 0x20 }

/** §6.5.2 */
export const SETTING: {
  readonly HEADER_TABLE_SIZE: 1
  readonly ENABLE_PUSH: 2
  readonly MAX_CONCURRENT_STREAMS: 3
  readonly INITIAL_WINDOW_SIZE: 4
  readonly MAX_FRAME_SIZE: 5
  readonly MAX_HEADER_LIST_SIZE: 6
} = {
  HEADER_TABLE_SIZE: 1,
  ENABLE_PUSH: 2,
  MAX_CONCURRENT_STREAMS: 3,
  INITIAL_WINDOW_SIZE: 4,
  MAX_FRAME_SIZE: 5,
  MAX_HEADER_LIST_SIZE: 6,
}

/** §7 */
export const ERROR: {
  readonly NO_ERROR: 0
  readonly PROTOCOL_ERROR: 1
  readonly INTERNAL_ERROR: 2
  readonly FLOW_CONTROL_ERROR: 3
  readonly SETTINGS_TIMEOUT: 4
  readonly STREAM_CLOSED: 5
  readonly FRAME_SIZE_ERROR: 6
  readonly REFUSED_STREAM: 7
  readonly CANCEL: 8
  readonly COMPRESSION_ERROR: 9
  readonly CONNECT_ERROR: 10
  readonly ENHANCE_YOUR_CALM: 11
  readonly INADEQUATE_SECURITY: 12
  readonly HTTP_1_1_REQUIRED: 13
} = {
  NO_ERROR: 0,
  PROTOCOL_ERROR: 1,
  INTERNAL_ERROR: 2,
  FLOW_CONTROL_ERROR: 3,
  SETTINGS_TIMEOUT: 4,
  STREAM_CLOSED: 5,
  FRAME_SIZE_ERROR: 6,
  REFUSED_STREAM: 7,
  CANCEL: 8,
  COMPRESSION_ERROR: 9,
  CONNECT_ERROR: 10,
  ENHANCE_YOUR_CALM: 11,
  INADEQUATE_SECURITY: 12,
  HTTP_1_1_REQUIRED: 13,
}

/** Default of INITIAL_WINDOW_SIZE, and the connection's window at its start. */
export const WINDOW_BYTES_INITIAL = 65_535
export const WINDOW_BYTES_MAX = 0x7fff_ffff
export const FRAME_BYTES_LEAST = 16_384
export const FRAME_BYTES_MOST = 16_777_215
export const STREAM_ID_MAX = 0x7fff_ffff

/** §3.4: what a client says first. */
export const PREFACE: Buffer = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1')
