import type { JSX } from 'preact'
import { useState } from 'preact/hooks'
import { messageOf } from '../fetched.ts'
import type { Field, Values } from './field.ts'
import { Failure, Notice } from './notice.tsx'

interface FormProps {
  readonly label: string
  readonly fields: readonly Field[]
  readonly submit: string
  /** What is to be said when it is done; null: nothing. */
  readonly onSubmit: (values: Values) => Promise<string | null>
  /** Keeps what was filled in. */
  readonly isKept?: boolean
}

/** A form that says what came of it. */
export function Form({ label, fields, submit, onSubmit, isKept = false }: FormProps): JSX.Element {
  const [failure, setFailure] = useState<string | null>(null)
  const [done, setDone] = useState<string | null>(null)
  const [isBusy, setBusy] = useState(false)
  const send = async (form: HTMLFormElement): Promise<void> => {
    const values: Record<string, string> = {}
    for (const [name, value] of new FormData(form)) {
      if (typeof value === 'string') values[name] = value
    }
    setBusy(true)
    setFailure(null)
    setDone(null)
    try {
      setDone(await onSubmit(values))
      if (!isKept) form.reset()
    } catch (error) {
      setFailure(messageOf(error))
    }
    setBusy(false)
  }
  return (
    <form
      class="form"
      aria-label={label}
      onSubmit={(event) => {
        event.preventDefault()
        void send(event.currentTarget)
      }}
    >
      <div class="fields">
        {fields.map((field) => (
          <Input key={field.name} field={field} />
        ))}
      </div>
      <Failure reason={failure} />
      {done !== null && <Notice>{done}</Notice>}
      <button type="submit" class="primary" disabled={isBusy}>
        {submit}
      </button>
    </form>
  )
}

function Input({ field }: { readonly field: Field }): JSX.Element {
  const { name, label, kind = 'text', options = [], value = '', isRequired = false, hint } = field
  const common = { name, required: isRequired }
  if (kind === 'check') {
    return (
      <label class="check">
        <input {...common} type="checkbox" defaultChecked={value === 'on'} /> {label}
        {hint !== undefined && <small>{hint}</small>}
      </label>
    )
  }
  return (
    <label class={kind === 'area' ? 'area' : ''}>
      {label}
      {kind === 'area' ? (
        <textarea {...common} defaultValue={value} spellcheck={false} />
      ) : kind === 'choice' ? (
        <select {...common} defaultValue={value}>
          {options.map(([key, text]) => (
            <option key={key} value={key} selected={key === value}>
              {text}
            </option>
          ))}
        </select>
      ) : (
        <TextInput field={field} />
      )}
      {hint !== undefined && <small>{hint}</small>}
    </label>
  )
}

function TextInput({ field }: { readonly field: Field }): JSX.Element {
  const { name, kind, value = '', isRequired = false } = field
  const common = { name, required: isRequired, defaultValue: value }
  switch (kind) {
    case 'password':
      return <input {...common} type="password" autoComplete="new-password" />
    case 'number':
      return <input {...common} type="number" min={0} step="any" />
    case 'signed':
      return <input {...common} type="number" step="any" />
    default:
      return <input {...common} type="text" autoComplete="off" />
  }
}
