import {
  type Client,
  type Contract,
  type Method,
  rpc,
  service,
  type StandardSchema,
} from '../../src/client/index.ts'

/** About 100 octets of JSON. */
export const INPUT: { readonly text: string } = { text: 'x'.repeat(88) }

/** Checked by nobody on either side, as with grpc-js, so that the calls are compared. */
const Anything: StandardSchema = {
  '~standard': { version: 1, vendor: 'bench', validate: (value) => ({ value }) },
}

type EchoMethods = {
  readonly echo: Method<
    'unary',
    StandardSchema,
    StandardSchema,
    Readonly<Record<never, StandardSchema>>
  >
}

export type EchoClient = Client<EchoMethods>

export const Echo: Contract<EchoMethods> = service('bench.v1.Echo', {
  echo: rpc.unary({ in: Anything, out: Anything }),
})

export const ECHO_PATH = '/bench.v1.Echo/echo'
export const CONCURRENCY = 1024
