export { createMatcher } from './create-matcher.ts'
export type { Matcher, MatcherKind } from './matcher.ts'
export { RoutingKey, splitKey } from './routing-key.ts'
