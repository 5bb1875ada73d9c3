/** What every third-party MQTT client is asked to do, in MQTT 3.1.1 and in 5.0. */
const EACH_VERSION = [
  'qos-0',
  'qos-1',
  'qos-2',
  'wildcards',
  'retained',
  'will',
  'session',
  'shared',
  'wrong-password',
  'large',
] as const

const ONLY_5 = ['properties', 'expiry', 'no-local'] as const

export const MQTT_CHECKS: readonly string[] = [
  ...EACH_VERSION.map((check) => `${check} 3.1.1`),
  ...EACH_VERSION.map((check) => `${check} 5.0`),
  ...ONLY_5.map((check) => `${check} 5.0`),
]
