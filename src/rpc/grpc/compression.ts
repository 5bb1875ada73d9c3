import {
  brotliCompressSync,
  brotliDecompressSync,
  constants,
  deflateSync,
  gunzipSync,
  gzipSync,
  inflateSync,
  zstdCompressSync,
  zstdDecompressSync,
} from 'node:zlib'

/** How messages may be compressed, by the names of HTTP. */
export type Compression = 'gzip' | 'br' | 'zstd' | 'deflate'

interface Coder {
  readonly compress: (bytes: Uint8Array) => Buffer
  readonly inflate: (bytes: Uint8Array, options: { readonly maxOutputLength: number }) => Buffer
}

/** Levels are the fast ones: a call waits for it, and others wait for the call. */
const CODERS: Readonly<Record<Compression, Coder>> = {
  gzip: { compress: (bytes) => gzipSync(bytes, { level: 1 }), inflate: gunzipSync },
  br: {
    compress: (bytes) =>
      brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: 1 } }),
    inflate: brotliDecompressSync,
  },
  zstd: {
    compress: (bytes) =>
      zstdCompressSync(bytes, { params: { [constants.ZSTD_c_compressionLevel]: 1 } }),
    inflate: zstdDecompressSync,
  },
  deflate: { compress: (bytes) => deflateSync(bytes, { level: 1 }), inflate: inflateSync },
}

/** As lists of what is accepted name them. */
export const COMPRESSION_NAMES = 'gzip,br,zstd,deflate'

/** Null: it is none that is known here. */
export function compressionOf(name: string): Compression | null {
  return Object.hasOwn(CODERS, name) ? (name as Compression) : null
}

/** What to answer a request with that was compressed: the same, or what else the client takes. */
export function answerCompression(accepted: string, own: Compression | null): Compression | null {
  if (own === null) return null
  const names = accepted.split(',').map((name) => name.split(';', 1)[0]!.trim())
  if (names.includes(own)) return own
  for (const name of names) {
    const known = compressionOf(name)
    if (known !== null) return known
  }
  return null
}

export function compress(bytes: Uint8Array, compression: Compression): Buffer {
  return CODERS[compression].compress(bytes)
}

/** Why bytes cannot be inflated. */
export class InflateError extends Error {
  override readonly name = 'InflateError'
  readonly isTooLarge: boolean

  constructor(text: string, isTooLarge: boolean) {
    super(text)
    this.isTooLarge = isTooLarge
  }
}

/** Throws `InflateError`; no more than `bytesMax` is ever made. */
export function inflate(bytes: Uint8Array, compression: Compression, bytesMax: number): Buffer {
  try {
    return CODERS[compression].inflate(bytes, { maxOutputLength: bytesMax })
  } catch (error) {
    const isTooLarge = (error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE'
    throw isTooLarge
      ? new InflateError(`decompressed message larger than max (${bytesMax})`, true)
      : new InflateError(`a compressed message that is no ${compression}`, false)
  }
}
