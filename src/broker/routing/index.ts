export { createMatcher } from './create-matcher.ts'
export type { Matcher, MatcherKind } from './matcher.ts'
export { RoutingKey } from './routing-key.ts'
