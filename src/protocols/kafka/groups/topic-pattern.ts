import { RE2JS } from 're2js'
import { GroupRefusal } from './group-refusal.ts'

/**
 * A regular expression of a client over names: in the syntax of RE2, which Kafka asks for, and in
 * time proportional to the name, whatever the client sends. The whole name has to match.
 */
export class TopicPattern {
  readonly text: string
  readonly #pattern: RE2JS

  /** Refuses what RE2 does not understand, and what is too long to keep. */
  constructor(text: string, lengthMax: number) {
    if (text.length > lengthMax) {
      throw new GroupRefusal(
        'INVALID_REGULAR_EXPRESSION',
        `The regular expression has ${text.length} characters, the limit is ${lengthMax}.`,
      )
    }
    this.text = text
    try {
      this.#pattern = RE2JS.compile(text)
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error)
      throw new GroupRefusal(
        'INVALID_REGULAR_EXPRESSION',
        `The regular expression \`${text}\` is invalid: ${reason}.`,
      )
    }
  }

  matches(name: string): boolean {
    return this.#pattern.matches(name)
  }
}
