/** What shop.proto says, for `serve` and `createClient`; shop_pb.ts is made from it by protoc-gen-es. */
import { rpc, service } from 'waystation/rpc'
import {
  FindRequestSchema,
  OrderSchema,
  PlaceRequestSchema,
  ReserveReplySchema,
  ReserveRequestSchema,
} from './shop_pb.ts'

export const Orders = service('shop.v1.Orders', {
  Place: rpc.unary({ in: PlaceRequestSchema, out: OrderSchema }),
  Find: rpc.unary({ in: FindRequestSchema, out: OrderSchema, idempotency: 'no-side-effects' }),
})

export const Warehouse = service('shop.v1.Warehouse', {
  Reserve: rpc.unary({ in: ReserveRequestSchema, out: ReserveReplySchema }),
})
