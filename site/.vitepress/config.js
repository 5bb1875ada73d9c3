/** The documentation site: the pages of `docs/` as they are, with an order and a search. */
const ORDER = {
  Begin: { 'quick-start': 'Quick start', models: 'How the models map', deploy: 'Deploying' },
  Protocols: {
    amqp: 'AMQP',
    mqtt: 'MQTT',
    kafka: 'Kafka',
    crossing: 'From one to another',
    'mqtt-conformance': 'Conformance of MQTT',
  },
  Calls: {
    rpc: 'Calls',
    contracts: 'Contracts',
    grpc: 'gRPC and Connect',
    attach: 'Providers in any language',
    discovery: 'Finding instances',
    'durable-calls': 'Durable calls',
    'message-calls': 'Calls by messages',
    'rpc-frames': 'Frames',
  },
  'Message by message': {
    acknowledgements: 'What an acknowledgement means',
    delivery: 'Retries and dead letters',
    'key-order': 'In order by key',
    schedule: 'Delays and schedules',
    deduplication: 'Deduplication',
    filters: 'Filters',
    'peak-shaving': 'Limits and rates',
  },
  Operating: {
    configuration: 'Configuration',
    'configuration-reference': 'Configuration reference',
    durability: 'Durability',
    backup: 'Backup',
    metrics: 'Metrics and health',
    tracing: 'Where is my message?',
    change: 'Changing what lives',
    console: 'Console',
    'http-api': 'HTTP API',
    security: 'Security',
    benchmarks: 'Benchmarks',
  },
  Inside: { architecture: 'Architecture', testing: 'Testing', dependencies: 'Dependencies' },
}

/** Links to what is in the repository and no page. */
const ELSEWHERE = [/\.\.\//, /\/decisions\//, /^https?:\/\/(localhost|127\.0\.0\.1)/]

// oxlint-disable-next-line import/no-default-export -- VitePress takes it so
export default {
  title: 'Waystation',
  description: 'One broker for every messaging client a team already has',
  // A copy: what lies outside this folder does not find its packages.
  srcDir: 'pages',
  outDir: '.vitepress/dist',
  cacheDir: '.vitepress/cache',
  cleanUrls: true,
  // Placeholders such as <name> are text.
  markdown: { html: false },
  rewrites: { 'quick-start.md': 'index.md' },
  ignoreDeadLinks: ELSEWHERE,
  themeConfig: {
    search: { provider: 'local' },
    outline: [2, 3],
    sidebar: Object.entries(ORDER).map(([text, pages]) => ({
      text,
      items: Object.entries(pages).map(([page, title]) => {
        return { text: title, link: page === 'quick-start' ? '/' : `/${page}` }
      }),
    })),
  },
}
