import { Cell } from './cell.ts'

/** Where the page is: what stands behind `#`. */
export interface Route {
  /** Of the first part: which page. */
  readonly page: string
  /** The other parts, as they were before they were encoded. */
  readonly names: readonly string[]
  readonly query: URLSearchParams
}

export const route = new Cell<Route>(readRoute())

window.addEventListener('hashchange', () => route.set(readRoute()))

export function hrefOf(page: string, ...names: readonly string[]): string {
  return `#/${[page, ...names].map((name) => encodeURIComponent(name)).join('/')}`
}

function readRoute(): Route {
  const [path = '', query = ''] = window.location.hash.replace(/^#\/?/, '').split('?', 2)
  const [page = '', ...names] = path.split('/').map(decoded)
  return { page: page === '' ? 'overview' : page, names, query: new URLSearchParams(query) }
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part)
  } catch {
    // Typed by hand: it names nothing.
    return part
  }
}
