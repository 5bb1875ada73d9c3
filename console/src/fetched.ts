import { useCallback, useEffect, useRef, useState } from 'preact/hooks'
import { get, type Query, queryText } from './api.ts'

export interface Fetched<T> {
  /** Null: it is not there yet. What was there stays while a newer one is fetched. */
  readonly value: T | null
  readonly error: string | null
  readonly again: () => void
}

/** Gets `path` now, when it changes, and every `everyMs`; `null` as path: nothing is to be got. */
export function useFetched<T>(path: string | null, query: Query = {}, everyMs = 0): Fetched<T> {
  const [state, setState] = useState<{ value: T | null; error: string | null }>({
    value: null,
    error: null,
  })
  const key = path === null ? null : path + queryText(query)
  const newest = useRef(0)
  const again = useCallback(() => {
    if (key === null) return
    const number = ++newest.current
    get<T>(key).then(
      (value) => {
        if (number === newest.current) setState({ value, error: null })
      },
      (error: unknown) => {
        if (number !== newest.current) return
        setState(({ value }) => ({ value, error: messageOf(error) }))
      },
    )
  }, [key])
  useEffect(() => {
    again()
    const timer =
      everyMs === 0
        ? 0
        : window.setInterval(() => {
            // A page in the background asks nothing.
            if (!document.hidden) again()
          }, everyMs)
    return () => {
      newest.current++
      window.clearInterval(timer)
    }
  }, [again, everyMs])
  return { ...state, again }
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
