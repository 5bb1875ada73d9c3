import type { JSX } from 'preact'
import { useState } from 'preact/hooks'
import { logIn } from '../api.ts'
import { messageOf } from '../fetched.ts'
import { Choices } from '../parts/choices.tsx'
import { Failure } from '../parts/notice.tsx'
import { say } from '../words.ts'

export function Login(): JSX.Element {
  const [reason, setReason] = useState<string | null>(null)
  const [isBusy, setBusy] = useState(false)
  const submit = async (event: SubmitEvent): Promise<void> => {
    event.preventDefault()
    const form = event.currentTarget as HTMLFormElement
    const fields = new FormData(form)
    setBusy(true)
    setReason(null)
    try {
      await logIn(textOf(fields.get('username')), textOf(fields.get('password')))
    } catch (error) {
      setReason(messageOf(error))
      setBusy(false)
      form.reset()
    }
  }
  return (
    <main class="login">
      <form class="card" onSubmit={(event) => void submit(event)}>
        <h1>
          <img src="favicon.svg" alt="" width="32" height="32" /> {say('app.title')}
        </h1>
        <label>
          {say('login.user')}
          <input name="username" autoComplete="username" required autoFocus />
        </label>
        <label>
          {say('login.password')}
          <input name="password" type="password" autoComplete="current-password" required />
        </label>
        <Failure reason={reason} />
        <button type="submit" class="primary" disabled={isBusy}>
          {say('login.enter')}
        </button>
        <p class="soft">{say('login.hint')}</p>
      </form>
      <Choices />
    </main>
  )
}

function textOf(value: FormDataEntryValue | null): string {
  return typeof value === 'string' ? value : ''
}
