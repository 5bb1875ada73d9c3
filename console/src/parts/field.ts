/** One input of a form. */
export interface Field {
  readonly name: string
  readonly label: string
  /** A number is not below 0, a signed one may be. */
  readonly kind?: 'text' | 'number' | 'signed' | 'password' | 'area' | 'check' | 'choice'
  /** Of a choice: values and what they are called. */
  readonly options?: readonly (readonly [string, string])[]
  readonly value?: string
  readonly isRequired?: boolean
  readonly hint?: string
}

/** What was filled in, by name; a check is `on` or ''. */
export type Values = Readonly<Record<string, string>>
