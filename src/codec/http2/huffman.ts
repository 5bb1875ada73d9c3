import { HUFFMAN_BITS, HUFFMAN_CODES } from './hpack-tables.gen.ts'

/** Inner nodes of the code's tree: as many as octets, since the end-of-string symbol is no octet. */
const NODES_MAX = 257
const FAIL = 0xffff

/**
 * Steps of four bits. At `node * 16 + bits`: the node to go on from in the low 9 bits, bit 9 when
 * an octet came out, which is then the high 8 bits less two; `FAIL` where no code leads.
 */
const next: Uint16Array = new Uint16Array(NODES_MAX * 16)
const octets: Uint8Array = new Uint8Array(NODES_MAX * 16)
/** Whether a string may end at a node: after at most 7 bits, all ones (RFC 7541 §5.2). */
const mayEnd: Uint8Array = new Uint8Array(NODES_MAX)
const EMITS = 0x200
const NODE_MASK = 0x1ff

buildSteps()

function buildSteps(): void {
  // Children of inner nodes: positive a node, negative an octet less one, 0 none.
  const left = new Int16Array(NODES_MAX)
  const right = new Int16Array(NODES_MAX)
  let count = 1
  for (let octet = 0; octet < 256; octet++) {
    const code = HUFFMAN_CODES[octet]!
    let node = 0
    for (let bit = HUFFMAN_BITS[octet]! - 1; bit >= 0; bit--) {
      const side = ((code >>> bit) & 1) === 1 ? right : left
      if (bit === 0) side[node] = -1 - octet
      else {
        if (side[node] === 0) side[node] = count++
        node = side[node]!
      }
    }
  }
  for (let node = 0, depth = 0; depth <= 7; depth++) {
    mayEnd[node] = 1
    node = right[node]!
  }
  for (let start = 0; start < count; start++) {
    for (let bits = 0; bits < 16; bits++) {
      let node = start
      let emitted = 0
      let failed = false
      for (let bit = 3; bit >= 0 && !failed; bit--) {
        const child = ((bits >>> bit) & 1) === 1 ? right[node]! : left[node]!
        if (child === 0) failed = true
        else if (child < 0) {
          octets[start * 16 + bits] = -1 - child
          emitted = EMITS
          node = 0
        } else node = child
      }
      next[start * 16 + bits] = failed ? FAIL : node | emitted
    }
  }
}

/**
 * Decodes a string of RFC 7541 §5.2 into `target`, which must hold 8/5 of its octets. Returns how
 * many came out; -1 when it is none: a code that does not exist, or padding that is not all ones
 * or a whole octet.
 */
export function decodeHuffman(
  bytes: Uint8Array,
  start: number,
  end: number,
  target: Uint8Array,
): number {
  let node = 0
  let at = 0
  for (let index = start; index < end; index++) {
    const octet = bytes[index]!
    let step = (node << 4) | (octet >>> 4)
    let to = next[step]!
    if (to === FAIL) return -1
    if ((to & EMITS) !== 0) target[at++] = octets[step]!
    step = ((to & NODE_MASK) << 4) | (octet & 15)
    to = next[step]!
    if (to === FAIL) return -1
    if ((to & EMITS) !== 0) target[at++] = octets[step]!
    node = to & NODE_MASK
  }
  return mayEnd[node] === 1 ? at : -1
}

/** Octets that `text`, of latin1, takes in Huffman's code. */
export function huffmanSize(text: string): number {
  let bits = 0
  for (let index = 0; index < text.length; index++) {
    bits += HUFFMAN_BITS[text.charCodeAt(index) & 0xff]!
  }
  return (bits + 7) >>> 3
}

/** Writes `text` in Huffman's code; returns the end. */
export function writeHuffman(text: string, target: Uint8Array, start: number): number {
  let at = start
  let held = 0
  let heldBits = 0
  for (let index = 0; index < text.length; index++) {
    const octet = text.charCodeAt(index) & 0xff
    let code = HUFFMAN_CODES[octet]!
    let bits = HUFFMAN_BITS[octet]!
    // Fewer than 8 bits are held, so 24 more fit.
    if (bits > 16) {
      const high = bits - 16
      held = (held << high) | (code >>> 16)
      heldBits += high
      for (; heldBits >= 8; heldBits -= 8) target[at++] = held >>> (heldBits - 8)
      code &= 0xffff
      bits = 16
    }
    held = (held << bits) | code
    heldBits += bits
    for (; heldBits >= 8; heldBits -= 8) target[at++] = held >>> (heldBits - 8)
    held &= 0xff
  }
  if (heldBits > 0) target[at++] = (held << (8 - heldBits)) | (0xff >>> heldBits)
  return at
}
