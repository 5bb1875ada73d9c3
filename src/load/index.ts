/** Load for brokers of AMQP 0-9-1 and MQTT, and what it measured. */
export { AmqpRun, type AmqpRunSpec } from './amqp-run.ts'
export { ChildBroker } from './child-broker.ts'
export type { Latencies } from './histogram.ts'
export { MqttRun, type MqttRunSpec } from './mqtt-run.ts'
export type { RunCounts, RunResult } from './run-meter.ts'
export { BODY_SIZE_MIN } from './wire.ts'
