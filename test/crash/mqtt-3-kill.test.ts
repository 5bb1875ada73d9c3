import { testMqttKills } from './mqtt-kills.ts'

testMqttKills(4)
