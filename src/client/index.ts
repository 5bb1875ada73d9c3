/** Remote procedure calls: contracts, clients and providers. See docs/rpc.md. */
export { rpc, service } from '../rpc/contracts/contract.ts'
export type {
  AnyMethod,
  Contract,
  DeclaredErrors,
  Idempotency,
  Method,
  MethodKind,
  MethodOptions,
  Methods,
  ServiceOptions,
} from '../rpc/contracts/contract.ts'
export type {
  DescribedMethodOptions,
  DescribedMethods,
  DescribedOptions,
  DescribedService,
} from '../rpc/contracts/described-methods.ts'
export type { FieldNumbers } from '../rpc/contracts/proto/field-numbers.ts'
export { errorOf } from '../rpc/contracts/declared-errors.ts'
export type { DeclaredErrorOf } from '../rpc/contracts/declared-errors.ts'
export type { MessageType, ReceivedOf, SentOf, StandardSchema } from '../rpc/contracts/schema.ts'
export type { BalancePolicy } from '../rpc/balancer.ts'
export { hopOf } from '../rpc/hop.ts'
export type { Hop, HopStage } from '../rpc/hop.ts'
export { Metadata } from '../rpc/metadata.ts'
export type { MetadataValue } from '../rpc/metadata.ts'
export { RpcError } from '../rpc/status.ts'
export type { StatusDetail, StatusName } from '../rpc/status.ts'
export type { BroadcastOptions, Gathered } from './broadcast.ts'
export type { CallOptions } from './call-options.ts'
export type { Attached, Channel, ProviderSpec } from './channel.ts'
export type {
  BreakerOptions,
  FailedCall,
  HedgeOptions,
  PolicyOptions,
  RetryOptions,
} from './client-policy.ts'
export { createClient } from './create-client.ts'
export type { DurableCall, DurableOptions, DurableState, DurableWait } from './durable-call.ts'
export type {
  CallHandle,
  Client,
  ClientCall,
  ClientInterceptor,
  ClientOptions,
  OneWayMethod,
  UnaryMethod,
} from './create-client.ts'
export type { DurableContext, HandlerContext } from './handler-call.ts'
export { listenChannel } from './listen-channel.ts'
export type { ListeningChannel, ListenOptions } from './listen-channel.ts'
export { localChannel } from './local-channel.ts'
export type { LocalChannelOptions } from './local-channel.ts'
export { balancedChannel } from './balanced-channel.ts'
export type { BalancedOptions } from './balanced-channel.ts'
export { staticInstances } from './discovery.ts'
export type { Discovery, DiscoveryListener, DiscoveryWatch, Instance } from './discovery.ts'
export { dnsInstances, srvInstances } from './dns-discovery.ts'
export type { DnsOptions } from './dns-discovery.ts'
export type { LoginToken } from './login-token.ts'
export { registerInstance, registryInstances, watchInstances } from './registry-instances.ts'
export type {
  InstanceChange,
  InstanceOptions,
  RegisteredHandle,
  RegisteredInstance,
  RegistryInstancesOptions,
  WatchOptions,
} from './registry-instances.ts'
export { connectChannel } from './remote-channel.ts'
export type { ConnectOptions } from './remote-channel.ts'
export { serve } from './serve.ts'
export type { ContextOf, Handlers, Provider, ServeOptions, ServerInterceptor } from './serve.ts'
