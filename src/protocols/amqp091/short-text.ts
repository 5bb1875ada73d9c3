const REASON_BYTES_MAX = 255

/** As much of it as a short string takes; an octet that is half a character is left out. */
export function shortened(text: string): string {
  const bytes = Buffer.from(text, 'utf8')
  if (bytes.length <= REASON_BYTES_MAX) return text
  return bytes.toString('utf8', 0, REASON_BYTES_MAX).replace(/\uFFFD+$/, '')
}
