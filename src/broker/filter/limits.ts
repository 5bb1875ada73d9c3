/** Characters of one expression; RabbitMQ's SQL filters end here too. */
export const EXPRESSION_LENGTH_MAX = 4096
/** Words, signs and constants of one expression, and so its depth; RabbitMQ's limit. */
export const TOKENS_MAX = 200
/** Characters of a LIKE pattern: comparing costs at most so many steps for each of the text's. */
export const PATTERN_LENGTH_MAX = 256
/** Tags of one filter: they are compared one by one. */
export const TAGS_MAX = 64
