import { language } from './settings.ts'
import { en } from './words/en.ts'
import { zh } from './words/zh.ts'

export type Word = keyof typeof en

const DICTIONARIES: Readonly<Record<'en' | 'zh', Readonly<Record<Word, string>>>> = { en, zh }

/** Says it in the language of the page; `{name}` becomes what `values` has under that name. */
export function say(word: Word, values: Readonly<Record<string, string | number>> = {}): string {
  return DICTIONARIES[language.value][word].replace(/\{(\w+)\}/g, (_whole, name: string) => {
    return String(values[name] ?? '')
  })
}
