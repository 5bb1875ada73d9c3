import type { JSX } from 'preact'
import { useEffect, useState } from 'preact/hooks'
import type { LogLine } from '../../../src/model/shapes/status.ts'
import { get } from '../api.ts'
import { messageOf } from '../fetched.ts'
import { timeText } from '../numbers.ts'
import { Failure } from '../parts/notice.tsx'
import { Table } from '../parts/table.tsx'
import { say } from '../words.ts'

const EVERY_MS = 1500
const LINES_KEPT_MAX = 500

/** What the broker said last, the newest first. */
export function LogTail(): JSX.Element {
  const [lines, setLines] = useState<readonly LogLine[]>([])
  const [failure, setFailure] = useState<string | null>(null)
  const [level, setLevel] = useState('')
  useEffect(() => {
    let after = 0
    const look = async (): Promise<void> => {
      try {
        const fresh = await get<readonly LogLine[]>('v1/log', { after })
        after = fresh.at(-1)?.number ?? after
        setFailure(null)
        if (fresh.length > 0) setLines((old) => [...old, ...fresh].slice(-LINES_KEPT_MAX))
      } catch (error) {
        setFailure(messageOf(error))
      }
    }
    void look()
    const timer = window.setInterval(() => {
      if (!document.hidden) void look()
    }, EVERY_MS)
    return () => window.clearInterval(timer)
  }, [])
  const shown = lines.filter((line) => level === '' || line.level === level)
  return (
    <>
      <h1>{say('nav.log')}</h1>
      <div class="filters">
        <label>
          {say('log.level')}
          <select value={level} onChange={(event) => setLevel(event.currentTarget.value)}>
            <option value="">{say('table.all')}</option>
            <option value="info">info</option>
            <option value="warn">warn</option>
            <option value="error">error</option>
          </select>
        </label>
      </div>
      <Failure reason={failure} />
      <section class="card">
        <Table
          label={say('nav.log')}
          rows={shown.toReversed()}
          keyOf={({ number }) => String(number)}
          empty={say('app.nothing')}
          columns={[
            { key: 'at', title: say('log.time'), cell: ({ atMs }) => timeText(atMs) },
            {
              key: 'level',
              title: say('log.level'),
              cell: (line) => <span class={`badge ${line.level}`}>{line.level}</span>,
            },
            { key: 'text', title: say('log.text'), cell: ({ text }) => text },
            {
              key: 'fields',
              title: say('field.detail'),
              cell: ({ fields }) => <code>{fields}</code>,
            },
          ]}
        />
      </section>
    </>
  )
}
