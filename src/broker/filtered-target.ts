import type { BindingTarget } from './exchange.ts'
import type { MessageFilter } from './filter/index.ts'
import type { Inbox } from './inbox.ts'

/** What a binding with a filter leads to: its target, for messages that the filter takes. */
export class FilteredTarget {
  readonly target: Exclude<BindingTarget, Inbox>
  readonly filter: MessageFilter

  constructor(target: Exclude<BindingTarget, Inbox>, filter: MessageFilter) {
    this.target = target
    this.filter = filter
  }
}
