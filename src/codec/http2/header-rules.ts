import type { HeaderList } from './header-list.ts'

/** Octets of a field name: visible ones without upper case and colon (§8.2.1). */
const NAME_OCTETS: Uint8Array = new Uint8Array(256)
for (let octet = 0x21; octet < 0x7f; octet++) NAME_OCTETS[octet] = 1
for (let octet = 0x41; octet <= 0x5a; octet++) NAME_OCTETS[octet] = 0
NAME_OCTETS[0x3a] = 0

const PSEUDO = 0x3a
/** Fields of one connection, which HTTP/2 has frames for (§8.2.2). */
const CONNECTION_FIELDS: ReadonlySet<string> = new Set([
  'connection',
  'proxy-connection',
  'keep-alive',
  'transfer-encoding',
  'upgrade',
])

/** Why a field is malformed by itself (§8.2.1, §8.2.2), or nothing. */
export function fieldFault(name: string, value: string): string {
  const { length } = name
  if (length === 0) return 'a field without a name'
  for (let index = name.charCodeAt(0) === PSEUDO ? 1 : 0; index < length; index++) {
    if (NAME_OCTETS[name.charCodeAt(index)] !== 1)
      return 'a field name with an octet it may not have'
  }
  for (let index = 0; index < value.length; index++) {
    const octet = value.charCodeAt(index)
    if (octet === 0 || octet === 10 || octet === 13) return `a line break in field ${name}`
  }
  if (
    value.length > 0 &&
    (isBlank(value.charCodeAt(0)) || isBlank(value.charCodeAt(value.length - 1)))
  ) {
    return `field ${name} begins or ends with a blank`
  }
  if (CONNECTION_FIELDS.has(name)) return `field ${name} belongs to a connection of HTTP/1.1`
  if (name === 'te' && value !== 'trailers') return 'field te has another value than trailers'
  return ''
}

function isBlank(octet: number): boolean {
  return octet === 32 || octet === 9
}

/** Takes the pseudo fields of a request out and checks what §8.3.1 says of them. */
export function readRequest(list: HeaderList): void {
  const { fields } = list
  list.isRead = true
  list.fault = list.fieldFault
  let plain = false
  for (let index = 0; index < fields.length; index += 2) {
    const name = fields[index]!
    const value = fields[index + 1]!
    if (name.charCodeAt(0) !== PSEUDO) {
      plain = true
      if (name === 'content-length') readLength(list, value)
      continue
    }
    if (plain) return fail(list, `${name} after a field that is none of the request's own`)
    if (name === ':method' && list.method === '') list.method = value
    else if (name === ':path' && list.path === '') list.path = value
    else if (name === ':scheme' && list.scheme === '') list.scheme = value
    else if (name === ':authority' && list.authority === '') list.authority = value
    else return fail(list, `${name} is unknown in a request or there twice`)
  }
  if (list.method === 'CONNECT') {
    if (list.scheme !== '' || list.path !== '' || list.authority === '') {
      fail(list, 'CONNECT has :authority and nothing else')
    }
    return
  }
  if (list.method === '' || list.scheme === '' || list.path === '') {
    fail(list, 'a request without :method, :scheme or :path')
  }
}

/** Takes the status of a response out (§8.3.2). */
export function readResponse(list: HeaderList): void {
  const { fields } = list
  list.isRead = true
  list.fault = list.fieldFault
  for (let index = 0; index < fields.length; index += 2) {
    const name = fields[index]!
    if (name.charCodeAt(0) !== PSEUDO) {
      if (name === 'content-length') readLength(list, fields[index + 1]!)
      continue
    }
    if (name !== ':status' || index !== 0 || !/^[1-9]\d\d$/.test(fields[1]!)) {
      return fail(list, `${name} is not the status that begins a response`)
    }
    list.status = Number(fields[1])
  }
  if (list.status === 0) fail(list, 'a response without :status')
}

/** §8.1: what comes after the content has no pseudo fields. Returns why they are malformed. */
export function trailersFault(list: HeaderList): string {
  const { fields } = list
  for (let index = 0; index < fields.length; index += 2) {
    const name = fields[index]!
    if (name.charCodeAt(0) === PSEUDO) return `${name} in trailers`
  }
  return list.fieldFault
}

function readLength(list: HeaderList, value: string): void {
  const length = /^\d{1,15}$/.test(value) ? Number(value) : -1
  if (length < 0 || (list.contentLength >= 0 && list.contentLength !== length)) {
    fail(list, 'content-length is no length or there are two')
    return
  }
  list.contentLength = length
}

function fail(list: HeaderList, fault: string): void {
  list.fault ||= fault
}
