"""A customer: a plain gRPC client.

python customer.py 127.0.0.1:7700
"""
import pathlib
import sys

import grpc

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent))
shop, services = grpc.protos_and_services('shop.proto')

with grpc.insecure_channel(sys.argv[1]) as channel:
    orders = services.OrdersStub(channel)
    order = orders.Place(shop.PlaceRequest(sku='tea', count=2), timeout=10)
    print(f'placed {order.id}')
    try:
        orders.Place(shop.PlaceRequest(sku='tea', count=100), timeout=10)
    except grpc.RpcError as error:
        print(f'{error.code().name}: {error.details()}')
