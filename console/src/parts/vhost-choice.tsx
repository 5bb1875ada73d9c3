import type { JSX } from 'preact'
import { useFetched } from '../fetched.ts'
import { say } from '../words.ts'

/** Names of all virtual hosts. */
export function useVhosts(): readonly string[] {
  const vhosts = useFetched<readonly { readonly name: string }[]>('v1/vhosts')
  return vhosts.value?.map(({ name }) => name) ?? ['/']
}

export function VhostChoice({
  vhosts,
  value,
  onChange,
}: {
  readonly vhosts: readonly string[]
  readonly value: string
  readonly onChange: (vhost: string) => void
}): JSX.Element {
  return (
    <label>
      {say('field.vhost')}
      <select value={value} onChange={(event) => onChange(event.currentTarget.value)}>
        {vhosts.map((name) => (
          <option key={name} value={name}>
            {name}
          </option>
        ))}
      </select>
    </label>
  )
}
