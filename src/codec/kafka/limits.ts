/** What a request may take with its header unless the server says otherwise; Kafka's default. */
export const REQUEST_SIZE_MAX_DEFAULT: number = 100 * 1024 * 1024

/**
 * How many array elements one request may hold in all. An element becomes an object of up to some
 * 150 octets, so this bounds what a request of few octets each makes the broker hold (about 40 MB);
 * a fetch of 100,000 partitions stays far below it.
 */
export const ELEMENTS_MAX: number = 262_144
