/** Links between pages lead somewhere, and the site leads to every page. */
import assert from 'node:assert/strict'
import { existsSync, globSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { test } from 'node:test'

const ROOT = path.join(import.meta.dirname, '../../..')
const PAGES = [
  'README.md',
  'CONTRIBUTING.md',
  'bench/README.md',
  ...globSync('docs/**/*.md', { cwd: ROOT }),
]
/** For whoever changes the project, who reads them in the repository. */
const NOT_IN_SITE = ['style']

/** Without code, in which brackets are no links and lines with `#` no headings. */
function prose(page: string): string {
  const text = readFileSync(path.join(ROOT, page), 'utf8')
  return text.replaceAll(/^```[^]*?^```/gm, '')
}

/** As GitHub and VitePress make them of headings. */
function anchorsOf(page: string): Set<string> {
  const headings = [...prose(page).matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) => heading)
  return new Set(
    headings.map((heading) => {
      const words = heading
        .replaceAll(/\[([^\]]*)\]\([^)]*\)/g, '$1')
        .toLowerCase()
        .trim()
      return words.replaceAll(/[^\p{L}\p{N}\s_-]/gu, '').replaceAll(/\s/g, '-')
    }),
  )
}

function faultsOf(page: string): string[] {
  const links = [
    ...prose(page)
      .replaceAll(/`[^`]*`/g, '')
      .matchAll(/\]\(([^)\s]+)\)/g),
  ]
  return links.flatMap(([, link = '']) => {
    if (/^[a-z]+:/.test(link)) return []
    const [file = '', anchor] = link.split('#')
    const target = file === '' ? page : path.join(path.dirname(page), file)
    if (!existsSync(path.join(ROOT, target))) return [`${page}: ${link} leads nowhere`]
    if (anchor === undefined || anchorsOf(target).has(anchor)) return []
    return [`${page}: ${target} has no heading '${anchor}'`]
  })
}

test('every link of a page leads to a page, and to a heading in it', () => {
  assert.ok(PAGES.length > 30)
  assert.deepEqual(PAGES.flatMap(faultsOf), [])
})

test('every page of docs/ is in the order of the site, and nothing else is', () => {
  const config = readFileSync(path.join(ROOT, 'site/.vitepress/config.js'), 'utf8')
  const order = config.slice(config.indexOf('const ORDER'), config.indexOf('\n}\n'))
  const listed = [...order.matchAll(/^ {4}'?([\w-]+)'?: '|[{,] '?([\w-]+)'?: '/gm)].map(
    ([, own, inner]) => own ?? inner ?? '',
  )
  const pages = globSync('docs/*.md', { cwd: ROOT }).map((page) => path.basename(page, '.md'))
  assert.deepEqual(
    listed.toSorted((a, b) => a.localeCompare(b)),
    pages.filter((page) => !NOT_IN_SITE.includes(page)).toSorted((a, b) => a.localeCompare(b)),
  )
})
