export type { ListenerName } from '../server/index.ts'
export type { Speaker } from './lossy-network.ts'
export {
  type CrashPoint,
  startTestBroker,
  type TestBroker,
  type TestBrokerOptions,
} from './test-broker.ts'
export type { TestClock } from './test-clock.ts'
export type { TestDestination, TestMessage } from './test-destination.ts'
export type { TestDisk } from './test-disk.ts'
