import { CommandError, EXIT } from './exit-code.ts'

const ENTER = /[\r\n]/
/** Ctrl+C and Ctrl+D. */
const CANCEL_KEYS = '\u0003\u0004'
/** Backspace, as the one or the other terminal sends it. */
const ERASE_KEYS = '\u0008\u007f'
/** Nobody types more, and a pipe that never ends must not fill the memory. */
const PASSWORD_CHARS_MAX = 1024

/** Asks on the terminal without showing what is typed; reads one line where there is none. */
export async function readPassword(prompt: string): Promise<string> {
  if (!process.stdin.isTTY) return readPipedPassword()
  process.stderr.write(prompt)
  process.stdin.setRawMode(true)
  try {
    return await readKeys()
  } finally {
    process.stdin.setRawMode(false)
    process.stdin.pause()
    process.stderr.write('\n')
  }
}

/** Asks twice where somebody types, because nobody sees what they typed. */
export async function readNewPassword(user: string): Promise<string> {
  const password = await readPassword(`new password of ${user}: `)
  if (password === '') throw new CommandError(EXIT.USAGE, 'the password is empty')
  if (process.stdin.isTTY && (await readPassword('once more: ')) !== password) {
    throw new CommandError(EXIT.USAGE, 'the two passwords differ, nothing was changed')
  }
  return password
}

async function readPipedPassword(): Promise<string> {
  let text = ''
  process.stdin.setEncoding('utf8')
  for await (const chunk of process.stdin) {
    text += String(chunk)
    if (ENTER.test(text) || text.length > PASSWORD_CHARS_MAX) break
  }
  return checked(text.split(ENTER, 1)[0] ?? '')
}

function readKeys(): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>()
  let typed = ''
  const onData = (chunk: Buffer): void => {
    for (const key of chunk.toString('utf8')) {
      if (CANCEL_KEYS.includes(key))
        finish(() => reject(new CommandError(EXIT.FAILED, 'cancelled')))
      else if (ENTER.test(key)) finish(() => resolve(typed))
      else if (ERASE_KEYS.includes(key)) typed = typed.slice(0, -1)
      else typed += key
    }
  }
  const finish = (settle: () => void): void => {
    process.stdin.off('data', onData)
    settle()
  }
  process.stdin.on('data', onData)
  process.stdin.resume()
  return promise.then(checked)
}

function checked(password: string): string {
  if (password.length <= PASSWORD_CHARS_MAX) return password
  throw new CommandError(EXIT.USAGE, `the password has more than ${PASSWORD_CHARS_MAX} characters`)
}
