/**
 * Writes `docs/configuration-reference.md`: every setting, from the schema that validates and from
 * the constants that hold where nothing is set.
 */
import { writeFileSync } from 'node:fs'
import { type SettingFacts, settingReference } from '../src/server/setting-reference.ts'

const TARGET = 'docs/configuration-reference.md'

/** What is said in front of a group; the others need no words. */
const INTRODUCTIONS: Readonly<Record<string, string>> = {
  listen:
    'An address is `HOST:PORT`, `[IPV6]:PORT`, `*:PORT` for all addresses of the machine, or a port, on loopback; `off` ends it.',
  limits:
    '`connections` and `connectionRate` can be set for one listener only, by `limits.listeners.NAME.KEY`.',
  mqtt: 'Each can be set for one listener only, by `mqtt.listeners.NAME.KEY`: the last table has these names.',
}

const HEAD = `<!-- Written by tools/generate-configuration.ts; npm run generate writes it anew. -->

# Configuration reference

Every setting there is, as the broker's own schema has it; \`waystation settings\` prints the same. How files, environment and
flags go together is in [configuration.md](configuration.md).

A bare number of a size is bytes, of a duration milliseconds; units are \`16MiB\`, \`2GB\`, \`500ms\`, \`30s\`, \`5m\`, \`1h\`, \`2d\`. Flags
are those of \`waystation start\` and \`waystation doctor\`; \`--set KEY=VALUE\` may be given several times.
`

function table(settings: readonly SettingFacts[]): string {
  const rows = settings.map(({ key, type, limits, fallback, flag, environment, about }) => {
    const cells = [
      `\`${key}\``,
      type,
      shown(fallback),
      limits,
      about,
      `\`${flag}\``,
      `\`${environment}\``,
    ]
    return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`
  })
  const heading = '| key | type | default | limits | what it does | flag | environment |'
  return [heading, '|---|---|---|---|---|---|---|', ...rows].join('\n')
}

/** Values as code; what is words, or has code in it, as it is. */
function shown(fallback: string): string {
  return fallback === '' || /[` ']/.test(fallback) ? fallback : `\`${fallback}\``
}

function groupOf({ key }: SettingFacts): string {
  const [, group] = /^(\w+\.listeners)\./.exec(key) ?? []
  if (group !== undefined) return group
  return key.includes('.') ? key.slice(0, key.indexOf('.')) : 'in no group'
}

const groups = Map.groupBy(settingReference(), groupOf)
const sections = [...groups].map(([name, settings]) => {
  const introduction = INTRODUCTIONS[name]
  const words = introduction === undefined ? '' : `${introduction}\n\n`
  const title = name === 'in no group' ? 'Of the whole broker' : `\`${name}\``
  return `## ${title}\n\n${words}${table(settings)}\n`
})
writeFileSync(TARGET, `${HEAD}\n${sections.join('\n')}`)
