/** Something that stands in one line at a time. */
export interface LineMember<T extends LineMember<T>> {
  /** The three of them are owned by `Line`: start with null. */
  line: Line<T> | null
  before: T | null
  behind: T | null
}

/** A doubly linked list through its members: joining and leaving cost the same wherever one stands. */
export class Line<T extends LineMember<T>> {
  first: T | null = null
  #last: T | null = null

  /** Goes to the end; leaves whatever line it stood in. */
  join(member: T): void {
    member.line?.leave(member)
    member.line = this
    member.before = this.#last
    if (this.#last === null) this.first = member
    else this.#last.behind = member
    this.#last = member
  }

  leave(member: T): void {
    if (member.line !== this) return
    const { before, behind } = member
    if (before === null) this.first = behind
    else before.behind = behind
    if (behind === null) this.#last = before
    else behind.before = before
    member.line = null
    member.before = null
    member.behind = null
  }
}
