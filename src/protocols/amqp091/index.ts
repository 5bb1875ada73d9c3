export { AMQP091_TERMS, type Amqp091Terms } from './terms.ts'
export {
  type Amqp091,
  type Amqp091ConnectionInfo,
  type Amqp091Options,
  createAmqp091,
} from './amqp091.ts'
export type { Amqp091Limits } from './limits.ts'
