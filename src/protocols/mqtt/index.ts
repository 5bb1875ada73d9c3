/** MQTT 3.1, 3.1.1 and 5.0 on the broker. */
export { createMqtt, type Mqtt, type MqttConnectionInfo, type MqttOptions } from './mqtt.ts'
export type { MqttLimits } from './limits.ts'
