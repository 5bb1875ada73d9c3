/** What the whole packet may take unless the server says otherwise; larger ones get 0x95. */
export const PACKET_SIZE_MAX_DEFAULT: number = 1024 * 1024
