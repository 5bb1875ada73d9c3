export { FILTER_ARGUMENTS, MessageFilter } from './filter.ts'
export { type FilteredMessage, filteredOf, FilterFields } from './filter-fields.ts'
