export { FILTER_ARGUMENTS, MessageFilter } from './filter.ts'
export { type FilteredMessage, filteredDraft, filteredOf, FilterFields } from './filter-fields.ts'
