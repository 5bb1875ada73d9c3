import type { JSX } from 'preact'
import { useRef, useState } from 'preact/hooks'
import { messageOf } from '../fetched.ts'
import { say } from '../words.ts'
import { Failure } from './notice.tsx'

interface ActionProps {
  readonly label: string
  /** What is asked before it is done; absent: it is done at once. */
  readonly question?: string
  readonly isDanger?: boolean
  readonly isSmall?: boolean
  readonly onDo: () => Promise<unknown>
}

/** A button that does something to the broker, after a question where it cannot be undone. */
export function Action(props: ActionProps): JSX.Element {
  const { label, question, isDanger = false, isSmall = false, onDo } = props
  const dialog = useRef<HTMLDialogElement>(null)
  const [failure, setFailure] = useState<string | null>(null)
  const [isBusy, setBusy] = useState(false)
  const run = async (): Promise<void> => {
    setBusy(true)
    setFailure(null)
    try {
      await onDo()
      dialog.current?.close()
    } catch (error) {
      setFailure(messageOf(error))
      dialog.current?.showModal()
    }
    setBusy(false)
  }
  const kind = `${isDanger ? 'danger' : ''} ${isSmall ? 'small' : ''}`
  return (
    <>
      <button
        type="button"
        class={kind}
        disabled={isBusy}
        onClick={() => {
          setFailure(null)
          if (question === undefined) void run()
          else if (dialog.current?.open === false) dialog.current.showModal()
        }}
      >
        {label}
      </button>
      <dialog ref={dialog} aria-label={label}>
        {question !== undefined && <p>{question}</p>}
        <Failure reason={failure} />
        <div class="buttons">
          <button type="button" onClick={() => dialog.current?.close()}>
            {say('app.cancel')}
          </button>
          <button type="button" class={kind} disabled={isBusy} onClick={() => void run()}>
            {label}
          </button>
        </div>
      </dialog>
    </>
  )
}
