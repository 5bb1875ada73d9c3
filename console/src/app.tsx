import type { JSX } from 'preact'
import { useEffect, useRef, useState } from 'preact/hooks'
import { findSession, logOut, session } from './api.ts'
import { useCell } from './cell.ts'
import { messageOf } from './fetched.ts'
import { hush, isLive, listen, lookAt } from './live.ts'
import { PAGES, type PageEntry } from './pages.ts'
import { Choices } from './parts/choices.tsx'
import { Failure } from './parts/notice.tsx'
import { Login } from './pages/login.tsx'
import { hrefOf, route } from './route.ts'
import { language } from './settings.ts'
import { say } from './words.ts'

/** Who is not logged in sees the login, and everybody else the page that the address names. */
export function App(): JSX.Element {
  const who = useCell(session)
  const [reason, setReason] = useState<string | null>(null)
  useCell(language)
  useEffect(() => {
    findSession().catch((error: unknown) => setReason(messageOf(error)))
  }, [])
  const isIn = who !== null && who !== undefined
  useEffect(() => {
    if (!isIn) return undefined
    listen()
    return hush
  }, [isIn])
  if (reason !== null) return <Failure reason={reason} />
  if (who === undefined) return <p class="soft">{say('app.loading')}</p>
  return who === null ? <Login /> : <Frame user={who.user} />
}

function Frame({ user }: { readonly user: string }): JSX.Element {
  const { page, names } = useCell(route)
  const [isOpen, setOpen] = useState(false)
  const main = useRef<HTMLElement>(null)
  const entry = PAGES.find(({ name }) => name === page)
  const place = [page, ...names].join('/')
  useEffect(() => {
    setOpen(false)
    document.title = `${entry === undefined ? '' : `${say(entry.title)} · `}${say('app.title')}`
    window.scrollTo(0, 0)
    if (page !== 'destination') lookAt(null)
  }, [place])
  return (
    <div class="frame">
      <a
        class="skip"
        href="#content"
        onClick={(event) => {
          event.preventDefault()
          main.current?.focus()
        }}
      >
        {say('app.skip')}
      </a>
      <header>
        <button
          type="button"
          class="menu"
          aria-expanded={isOpen}
          aria-controls="navigation"
          onClick={() => setOpen(!isOpen)}
        >
          <span aria-hidden="true">☰</span>
          <span class="unseen">{say('app.menu')}</span>
        </button>
        <a class="brand" href={hrefOf('overview')}>
          <img src="favicon.svg" alt="" width="24" height="24" /> {say('app.title')}
        </a>
        <Pulse />
        <span class="user">{user}</span>
        <button type="button" onClick={() => void logOut()}>
          {say('app.logout')}
        </button>
      </header>
      <div class={`side ${isOpen ? 'open' : ''}`} id="navigation">
        <nav aria-label={say('app.menu')}>
          <ul>
            {PAGES.filter(({ isListed }) => isListed).map((each) => (
              <NavItem key={each.name} entry={each} isHere={each.name === (entry?.under ?? page)} />
            ))}
          </ul>
        </nav>
        <Choices />
      </div>
      <main id="content" tabIndex={-1} ref={main}>
        {entry === undefined ? (
          <p>{say('app.unknown')}</p>
        ) : (
          <entry.View key={place} names={names} />
        )}
      </main>
    </div>
  )
}

function NavItem({
  entry,
  isHere,
}: {
  readonly entry: PageEntry
  readonly isHere: boolean
}): JSX.Element {
  return (
    <li>
      <a href={hrefOf(entry.name)} {...(isHere ? { 'aria-current': 'page' } : {})}>
        {say(entry.title)}
      </a>
    </li>
  )
}

/** Whether what is shown is of now. */
function Pulse(): JSX.Element {
  const live = useCell(isLive)
  return (
    <span class={`pulse ${live ? 'on' : 'off'}`} role="status">
      {say(live ? 'app.live' : 'app.silent')}
    </span>
  )
}
