/** What shop.proto says, for `serve` and `createClient`; shop_pb.ts is made from it by protoc-gen-es. */
import { service } from 'waystation/rpc'
import * as shop from './shop_pb.ts'

export const Orders = service(shop.Orders, { find: { idempotency: 'no-side-effects' } })

export const Warehouse = service(shop.Warehouse)
