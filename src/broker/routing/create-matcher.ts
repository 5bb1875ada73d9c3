import type { RandomSource } from '../../lib/random.ts'
import { DirectMatcher } from './direct-matcher.ts'
import { FanoutMatcher } from './fanout-matcher.ts'
import { ConsistentHashMatcher, ModulusHashMatcher, type TargetName } from './hash-matcher.ts'
import { HeadersMatcher } from './headers-matcher.ts'
import type { Matcher, MatcherKind } from './matcher.ts'
import { RandomMatcher } from './random-matcher.ts'
import { TopicMatcher } from './topic-matcher.ts'

export interface MatcherOptions<T> {
  /** Names a target for the kinds that hash; must outlive a restart. */
  readonly idOf: TargetName<T>
  readonly random: RandomSource
}

export function createMatcher<T extends object>(
  kind: MatcherKind,
  options: MatcherOptions<T>,
): Matcher<T> {
  switch (kind) {
    case 'direct':
      return new DirectMatcher()
    case 'fanout':
      return new FanoutMatcher()
    case 'topic':
      return new TopicMatcher()
    case 'headers':
      return new HeadersMatcher()
    case 'consistent-hash':
      return new ConsistentHashMatcher(options.idOf)
    case 'modulus-hash':
      return new ModulusHashMatcher(options.idOf)
    case 'random':
    case 'local-random':
      return new RandomMatcher(kind, options.random)
  }
}
